"""Runs a repository's own CI: the `run:` steps of its workflow's test job, in a clean clone, tied to this process's life.

What is understood of https://docs.github.com/actions/reference/workflow-syntax-for-github-actions:
    jobs.<id>.steps[].{name, run, uses, env, working-directory}, `env` of the workflow and the job, `defaults.run.working-directory`.
    The job is the one called `test`, else the only one that has `run:` steps. Each step is one `bash -e -o pipefail`, as on GitHub.
How the rest is met, each time said in the log:
    `uses: actions/checkout` by the clean clone, `actions/setup-python` by the interpreter that runs this; any other action is not run.
    Lines that only install packages are met by the packages of this environment; what differs from a pin is named.
    Expressions `${{ secrets.* }}` are empty, since a run holds no credentials; any other expression, and any shell but bash, makes the
    workflow invalid, which is a red result like on GitHub. Conditions (`if`), matrices and service containers are not evaluated.

The steps see none of this process's environment but the search path, the locale and the time zone.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lifecycle.tools.workflow import Job, RunStep, WorkflowError, read_job

if TYPE_CHECKING:
    from lifecycle.process import Children

_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
_TAIL_LINES = 20


@dataclass(frozen=True)
class CiFailure:
    """A red test, or a step that failed without one; `message` is its first lines."""

    name: str
    message: str
    suite: str = ""  # pytest's classname: tests.test_training


@dataclass(frozen=True)
class CiOutcome:
    """What came of the test job. Green means: every step ended with 0 and at least one test ran."""

    passed: bool
    tests: int
    failures: tuple[CiFailure, ...]
    seconds: float
    log: Path
    junit: Path


@dataclass
class _Run:
    """A run under way."""

    clone: Path
    commit: str
    log: Path
    scratch: Path
    until: float
    timeout_s: float
    results: list[Path] = field(default_factory=list)

    def say(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"[ci] {text}\n")


def run(clone: Path, commit: str, *, log: Path, junit: Path, timeout_s: float = 600.0) -> CiOutcome:
    """Run the test job of the repository in `clone` for at most `timeout_s` seconds.

    Whatever is wrong with the repository (red or hanging tests, no or a broken workflow) is a red outcome.

    Raises:
        ServiceError: the processes cannot be started.
    """
    from lifecycle.process import Children

    begun = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    junit.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("", encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="lifecycle-ci-", ignore_cleanup_errors=True) as scratch:
        run = _Run(clone, commit, log, Path(scratch), begun + timeout_s, timeout_s)
        run.say(f"commit {commit}, python {sys.version.split()[0]}")
        try:
            job = read_job(clone)
        except WorkflowError as error:
            run.say(str(error))
            failures: tuple[CiFailure, ...] = (CiFailure(str(error.file), str(error)),)
        else:
            with Children(grace_s=1.0) as children:
                failures = _run_job(run, job, children)
        tests, red = _collect(run.results, junit)
    failures = red or failures
    if not failures and not tests:
        failures = (CiFailure("no test ran", "the job ended well, but no step ran a test with pytest"),)
    seconds = time.monotonic() - begun
    run.say(f"{'red' if failures else 'green'}: {tests} tests, {len(failures)} failures, {seconds:.1f} s")
    return CiOutcome(not failures, tests, failures, seconds, log, junit)


def _run_job(run: _Run, job: Job, children: Children) -> tuple[CiFailure, ...]:
    """Run the steps in order until one fails; what failed that is no test."""
    run.say(f"job {job.id} of {job.file}")
    for note in job.notes:
        run.say(note)
    for step in job.steps:
        for note in step.notes:
            run.say(f"{step.name}: {note}")
        if not step.script:
            continue
        folder = (run.clone / step.folder).resolve()
        if not folder.is_relative_to(run.clone.resolve()) or not folder.is_dir():
            return (CiFailure(f"step {step.name}", f"there is no folder {step.folder} in the repository"),)
        code = _run_step(run, step, folder, children, auto_plugins=job.installs_pytest_plugins)
        if code is None:
            message = f"still ran when the {run.timeout_s:g} s of the job were over; it was ended"
            run.say(f"{step.name}: {message}")
            return (CiFailure(f"step {step.name}", message),)
        if code != 0:
            run.say(f"{step.name}: ended with {code}")
            tail = _tail(run.log)
            return (CiFailure(f"step {step.name}", f"ended with {code}\n{tail}"),)
    return ()


def _run_step(run: _Run, step: RunStep, folder: Path, children: Children, *, auto_plugins: bool) -> int | None:
    """The step's exit code, None when the time was over."""
    run.say(f"{step.name}: {step.script.strip()}")
    results = run.scratch / f"junit-{len(run.results) + 1}.xml"
    run.results.append(results)
    child = children.start(
        f"ci step {step.name}",
        [_bash(), "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step.script],
        env=_environment(run, step.environment, results, auto_plugins=auto_plugins),
        cwd=folder,
        log=run.log,
    )
    try:
        return child.wait(max(0.0, run.until - time.monotonic()))
    except TimeoutError:
        child.kill()
        child.wait(20)
        return None


def _environment(run: _Run, given: Mapping[str, str], results: Path, *, auto_plugins: bool) -> dict[str, str]:
    """A clean environment: nothing of ours that could be a credential or change how the tests run."""
    home = run.scratch / "home"
    home.mkdir(exist_ok=True)
    interpreter = str(Path(sys.executable).parent)
    options = f"--junitxml={results} -p no:cacheprovider"
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "PATH": os.pathsep.join((interpreter, os.environ.get("PATH", os.defpath))),
        "HOME": str(home),
        "TMPDIR": str(run.scratch),
        "CI": "true",
        "GITHUB_SHA": run.commit,
        "GITHUB_WORKSPACE": str(run.clone),
        "PYTHONDONTWRITEBYTECODE": "1",  # the clone stays as it was committed
        # an install that hides among other commands must not change the environment that runs this
        "PIP_DRY_RUN": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # a fresh machine would have only the plugins that the job installs
        **({} if auto_plugins else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
        **given,
        "PYTEST_ADDOPTS": f"{given.get('PYTEST_ADDOPTS', '')} {options}".strip(),
    }


def _bash() -> str:
    return shutil.which("bash") or "bash"


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(line for line in lines if not line.startswith("[ci]"))[-4000:].strip()


def _collect(results: Sequence[Path], junit: Path) -> tuple[int, tuple[CiFailure, ...]]:
    """One JUnit file of all that pytest wrote; how many tests ran and which were red. Without any the file says so."""
    suites = ET.Element("testsuites", name="ci")
    for path in results:
        if not path.is_file():
            continue
        try:
            root = ET.parse(path).getroot()  # noqa: S314 - written by the pytest that this run started
        except ET.ParseError:
            continue  # pytest was ended while writing: its tests count as not run
        suites.extend([root] if root.tag == "testsuite" else list(root))
    ET.ElementTree(suites).write(junit, encoding="utf-8", xml_declaration=True)
    cases = [case for case in suites.iter("testcase") if case.find("skipped") is None]
    red = [
        CiFailure(
            case.get("name", "?"),
            "\n".join((problem.get("message") or problem.text or "").splitlines()[:_TAIL_LINES]),
            case.get("classname", ""),
        )
        for case in cases
        for problem in [*case.findall("failure"), *case.findall("error")][:1]
    ]
    return len(cases), tuple(red)
