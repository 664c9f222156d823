"""Reads the test job of a repository's GitHub workflows; `lifecycle.tools.ci` says what of the syntax is understood."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lifecycle.domain.errors import LifecycleError

FOLDER = ".github/workflows"
_MET = {
    "actions/checkout": "met by the clean clone",
    "actions/setup-python": "met by the interpreter that runs this",
    "astral-sh/setup-uv": "met by this environment",
    "actions/cache": "not needed: nothing is downloaded",
}
_NOT_EVALUATED = ("if", "continue-on-error", "timeout-minutes")
_JOB_NOT_EVALUATED = ("if", "strategy", "container", "services", "needs")
_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_INSTALL = re.compile(
    r"^\s*((\S*python[\d.]*\s+-m\s+)?pip[\d.]*\s+install|uv\s+(pip\s+install|sync)|poetry\s+install|(sudo\s+)?apt(-get)?\s+\S+)\b[^&|;`$]*$"
)


class WorkflowError(LifecycleError):
    """The repository has no workflow that could be run; the team's mistake, so the result is red."""

    exit_code = 1

    def __init__(self, file: PurePosixPath, message: str) -> None:
        super().__init__(f"{file}: {message}")
        self.file = file


@dataclass(frozen=True)
class RunStep:
    """One `run:` step; `script` is empty when there is nothing left to run, `notes` say why."""

    name: str
    script: str
    environment: Mapping[str, str]
    folder: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """The test job, with what is to be said about it in the log."""

    id: str
    file: PurePosixPath
    steps: tuple[RunStep, ...]
    notes: tuple[str, ...]
    installs_pytest_plugins: bool


def read_job(repository: Path) -> Job:
    """The test job of the repository's workflows.

    Raises:
        WorkflowError: there is none, more than one could be meant, or it uses what is not understood.
    """
    workflows = dict(_workflows(repository))
    jobs = {
        (file, str(name)): job
        for file, workflow in workflows.items()
        for name, job in _mapping(file, workflow.get("jobs"), "jobs").items()
    }
    for (file, name), job in jobs.items():
        _steps_of(file, name, job)
    runnable = {key: job for key, job in jobs.items() if any("run" in step for step in _steps_of(key[0], key[1], job))}
    called_test = [key for key in runnable if key[1] == "test"]
    chosen = called_test or list(runnable)
    if len(chosen) != 1:
        found = ", ".join(f"{name} ({file.name})" for file, name in runnable) or "none"
        raise WorkflowError(PurePosixPath(FOLDER), f"one job must be called test or be the only one; found: {found}")
    file, name = chosen[0]
    others = [f"job {other} of {where} is not run: it is not the test job" for where, other in jobs if other != name]
    return _job(repository, file, name, workflows[file], jobs[file, name], others)


def _workflows(repository: Path) -> Iterator[tuple[PurePosixPath, Mapping[str, Any]]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    folder = repository / FOLDER
    files = sorted([*folder.glob("*.yml"), *folder.glob("*.yaml")])
    if not files:
        raise WorkflowError(PurePosixPath(FOLDER), "the repository has no workflow")
    for path in files:
        file = PurePosixPath(path.relative_to(repository))
        try:
            read = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        except (YAMLError, UnicodeDecodeError) as error:
            raise WorkflowError(file, f"is no YAML: {' '.join(str(error).split())}") from error
        yield file, _mapping(file, read, "the workflow")


def _mapping(file: PurePosixPath, value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise WorkflowError(file, f"{what} must be a mapping, not {type(value).__name__}")
    return value


def _steps_of(file: PurePosixPath, name: str, job: Any) -> list[Mapping[str, Any]]:
    steps = _mapping(file, job, f"jobs.{name}").get("steps", [])
    if not isinstance(steps, list):
        raise WorkflowError(file, f"jobs.{name}.steps must be a list, not {type(steps).__name__}")
    for number, step in enumerate(steps):
        where = f"jobs.{name}.steps[{number}]"
        if ("run" in _mapping(file, step, where)) == ("uses" in step):
            raise WorkflowError(file, f"{where} must have either run or uses")
    return steps


def _job(
    repository: Path,
    file: PurePosixPath,
    name: str,
    workflow: Mapping[str, Any],
    job: Mapping[str, Any],
    notes: list[str],
) -> Job:
    notes = [
        *notes,
        *(f"jobs.{name}.{key} is not evaluated here" for key in _JOB_NOT_EVALUATED if key in job),
    ]
    environment = {**_environment(file, workflow, "env"), **_environment(file, job, f"jobs.{name}.env")}
    defaults = {**_run_defaults(workflow), **_run_defaults(job)}
    steps: list[RunStep] = []
    installed: list[str] = []
    for number, step in enumerate(_steps_of(file, name, job)):
        where = f"jobs.{name}.steps[{number}]"
        read = _step(repository, file, where, step, environment, defaults, installed)
        steps.append(read)
    return Job(name, file, tuple(steps), tuple(notes), any("pytest-" in text for text in installed))


def _run_defaults(part: Mapping[str, Any]) -> Mapping[str, Any]:
    run = (part.get("defaults") or {}).get("run") or {}
    return run if isinstance(run, Mapping) else {}


def _step(
    repository: Path,
    file: PurePosixPath,
    where: str,
    step: Mapping[str, Any],
    environment: Mapping[str, str],
    defaults: Mapping[str, Any],
    installed: list[str],
) -> RunStep:
    notes = [f"`{key}` is not evaluated here" for key in _NOT_EVALUATED if key in step]
    if "uses" in step:
        action = str(step["uses"])
        met = _MET.get(action.partition("@")[0], "not run: this runner does not know the action")
        return RunStep(str(step.get("name", action)), "", {}, ".", (*notes, f"uses {action}: {met}"))
    script = step["run"]
    if not isinstance(script, str):
        raise WorkflowError(file, f"{where}.run must be text, not {type(script).__name__}")
    shell = str(step.get("shell", defaults.get("shell", "bash")))
    if shell not in ("bash", "sh"):
        raise WorkflowError(file, f"{where}.shell is {shell!r}; only bash can be run here")
    name = str(step.get("name") or script.strip().splitlines()[0] if script.strip() else where)
    kept: list[str] = []
    for line in _without_secrets(file, f"{where}.run", script).replace("\\\n", " ").splitlines():
        if _INSTALL.match(line):
            installed += [line, *_requirement_files(repository, line)]
            notes.append(f"`{line.strip()}`: met by the packages of this environment")
            notes += _differences(repository, line)
        else:
            kept.append(line)
    left = "\n".join(kept)
    only_comments = all(not line.strip() or line.lstrip().startswith("#") for line in kept)
    own = _environment(file, step, f"{where}.env")
    folder = str(step.get("working-directory", defaults.get("working-directory", ".")))
    return RunStep(name, "" if only_comments else left, {**environment, **own}, folder, tuple(notes))


def _environment(file: PurePosixPath, part: Mapping[str, Any], where: str) -> dict[str, str]:
    given = part.get("env") or {}
    return {
        str(key): _without_secrets(file, f"{where}.{key}", _text(value))
        for key, value in _mapping(file, given, where).items()
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _without_secrets(file: PurePosixPath, where: str, text: str) -> str:
    """The text with secrets put in, of which there are none here."""

    def value(match: re.Match[str]) -> str:
        if re.fullmatch(r"secrets\.\w+|github\.token", match[1]):
            return ""
        raise WorkflowError(file, f"{where} uses the expression {match[0]}, which cannot be evaluated here")

    return _EXPRESSION.sub(value, text)


def _requirement_files(repository: Path, line: str) -> list[str]:
    """The contents of the requirements files that an install line names."""
    names = re.findall(r"(?:-r\s*|--requirement[=\s]+)(\S+)", line)
    paths = [(repository / name).resolve() for name in names]
    return [
        path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.is_file() and path.is_relative_to(repository.resolve())
    ]


def _differences(repository: Path, line: str) -> Iterator[str]:
    """What the install line's requirements files ask for and this environment has otherwise."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    for text in _requirement_files(repository, line):
        for entry in text.splitlines():
            try:
                wanted = Requirement(entry.partition("#")[0].strip())
                here = version(wanted.name)
            except InvalidRequirement:
                continue  # an empty line, an option of pip, a URL
            except PackageNotFoundError:
                yield f"{entry.strip()} is asked for; this environment has none"
                continue
            if not wanted.specifier.contains(here, prereleases=True):
                yield f"{entry.strip()} is asked for; this environment has {here}"
