"""The commands. Nothing heavy is imported before a command needs it, so that help and checks answer at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lifecycle.domain.errors import InvalidInput, LifecycleError

if TYPE_CHECKING:
    from lifecycle.domain.events import Emit

RUNS = Path(".lifecycle/runs")
EMULATORS = ("argocd", "gateway", "kserve", "kubeflow", "kubernetes", "marquez", "registry")


class Commands(click.Group):
    """Turns the project's own errors into one message and an exit code; a traceback is never what a user gets for a mistake."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LifecycleError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)


def _example(text: str) -> str:
    return f"\b\nExample:\n  {text}"


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_example("lifecycle run scenarios/churn_prediction.yaml"),
)
@click.version_option(package_name="lifecycle")
def main() -> None:
    """The end-to-end MLOps lifecycle as executable stories.

    Exit codes: 0 every outcome held, 1 one did not, 2 invalid input, 3 a service or the harness failed.
    """


@main.command(epilog=_example("lifecycle run scenarios/churn_prediction.yaml --keep"))
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "--tier", type=click.Choice(["local"]), default="local", show_default=True, help="Where the services come from."
)
@click.option(
    "--object-store",
    type=click.Choice(["moto", "seaweedfs"]),
    default="moto",
    show_default=True,
    help="The S3 server of the local tier.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31 - 1),
    help="Of everything random in the run; default: the scenario's or the use case's.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=RUNS,
    show_default=True,
    help="Folder that run folders are made in.",
)
@click.option("--keep", is_flag=True, help="Keep the stack up after the verdict, until Ctrl-C.")
def run(scenario: Path, tier: str, object_store: str, seed: int | None, runs: Path, keep: bool) -> None:
    """Run SCENARIO, a story file, and say which of its outcomes held."""
    from lifecycle.domain.errors import InvalidInput
    from lifecycle.runner.local import run_locally
    from lifecycle.scenario import load

    try:
        story = load(scenario)
    except InvalidInput as error:
        raise InvalidInput(
            error.message, fix=error.fix or "nothing was started; correct the file and run again"
        ) from error
    result = run_locally(story, runs, object_store=object_store, seed=seed, keep=keep)
    sys.exit(result)


@main.command("list", epilog=_example("lifecycle list"))
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("scenarios"))
def list_(folder: Path) -> None:
    """List the scenarios of FOLDER with their titles; a broken one is listed as such."""
    from lifecycle.scenario import InvalidFile, load

    broken = False
    for file in sorted(folder.glob("*.yaml")):
        try:
            click.echo(f"{file.stem:32} {load(file).scenario.title}")
        except InvalidFile as error:
            broken = True
            click.echo(f"{file.stem:32} INVALID, {len(error.mistakes)} mistakes: lifecycle validate {file}")
    sys.exit(2 if broken else 0)


@main.command(epilog=_example("lifecycle validate scenarios/*.yaml"))
@click.argument("files", type=click.Path(path_type=Path), nargs=-1, required=True)
def validate(files: tuple[Path, ...]) -> None:
    """Check scenario FILES; every mistake is reported with its file, line and what would be valid."""
    from lifecycle.scenario import InvalidFile, load

    broken = False
    for file in files:
        try:
            load(file)
            click.echo(f"{file}: valid")
        except InvalidFile as error:
            broken = True
            click.echo(str(error), err=True)
    sys.exit(2 if broken else 0)


@main.command(epilog=_example("lifecycle schema > scenario.schema.json"))
@click.option("--use-case", is_flag=True, help="The schema of a use_case.yaml instead.")
def schema(use_case: bool) -> None:
    """Print the JSON Schema of a scenario, for editors to complete and check with."""
    import json

    from lifecycle.domain.use_case import UseCase
    from lifecycle.scenario import Scenario, schema_of

    click.echo(json.dumps(schema_of(UseCase if use_case else Scenario), indent=2))


@main.command(epilog=_example("lifecycle report .lifecycle/runs/20261123T101500Z-churn_prediction"))
@click.argument("run_folder", metavar="[RUN]", type=click.Path(path_type=Path), required=False)
def report(run_folder: Path | None) -> None:
    """Write RUN's report pages again from its journal (default: the latest run) and say where they are."""
    from lifecycle.reports import write_html, write_json, write_junit

    folder = _run_folder(run_folder)
    for write in (write_html, write_junit, write_json):
        click.echo(write(folder))


@main.command(epilog=_example("lifecycle trace verify-v2-17"))
@click.argument("request_id")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="The run to look in; default: the latest.")
def trace(request_id: str, run_folder: Path | None) -> None:
    """Trace one prediction by its REQUEST_ID back to rows, data version, commit, image and model version."""
    from lifecycle.loops.trace import trace as trace_back

    for line in trace_back(_run_folder(run_folder), request_id).lines():
        click.echo(line)


def _run_folder(given: Path | None) -> Path:
    if given is not None:
        if not (given / "journal.jsonl").is_file():
            raise InvalidInput(f"{given} is no run folder: it has no journal.jsonl", fix=f"name a folder below {RUNS}")
        return given
    folders = sorted(file.parent for file in RUNS.glob("*/journal.jsonl"))
    if not folders:
        raise InvalidInput(
            f"there is no run below {RUNS}", fix="run a scenario first: lifecycle run scenarios/churn_prediction.yaml"
        )
    return folders[-1]


def _print(event: Any) -> None:
    from lifecycle.domain.events import ServiceReady

    if isinstance(event, ServiceReady):
        click.echo(f"{event.service:12} ready after {event.seconds:4.1f} s  {event.address}  {event.detail}".rstrip())


_emit: Emit = _print
