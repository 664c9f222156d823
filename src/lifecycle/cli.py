"""The commands. Nothing heavy is imported before a command needs it, so that help and checks answer at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from lifecycle.domain.errors import LifecycleError


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
    epilog=_example("lifecycle validate scenarios/churn_prediction.yaml"),
)
@click.version_option(package_name="lifecycle")
def main() -> None:
    """The end-to-end MLOps lifecycle as executable stories.

    Exit codes: 0 every outcome held, 1 one did not, 2 invalid input, 3 a service or the harness failed.
    """


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
