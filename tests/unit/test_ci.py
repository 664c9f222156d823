"""The CI tool runs the repository's own workflow: green, red, hanging and broken ones, and nothing of ours leaks into it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lifecycle.tools import ci
from lifecycle.tools.workflow import WorkflowError, read_job

ROOT = Path(__file__).parents[2]
GREEN = "def test_one_and_one():\n    assert 1 + 1 == 2\n"


def repository(folder: Path, steps: str, files: dict[str, str] | None = None, job: str = "") -> Path:
    """A repository whose workflow's job `test` has these steps."""
    workflow = (
        "on: [push]\njobs:\n  test:\n    runs-on: ubuntu-latest\n"
        + textwrap.indent(textwrap.dedent(job), "    ")
        + "    steps:\n"
        + textwrap.indent(textwrap.dedent(steps), "      ")
    )
    for path, text in {".github/workflows/ci.yml": workflow, **(files or {})}.items():
        file = folder / "clone" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder / "clone"


def run(clone: Path, timeout_s: float = 120.0) -> ci.CiOutcome:
    folder = clone.parent
    return ci.run(clone, "c0ffee", log=folder / "logs/ci.log", junit=folder / "junit.xml", timeout_s=timeout_s)


def test_the_fixture_is_green_by_its_own_workflow(tmp_path: Path) -> None:
    """Every test of the team's repository runs, the install step is met and said so, the clone stays clean."""
    import shutil

    clone = tmp_path / "clone"
    fixture = ROOT / "fixtures/telco_churn/training_repository"
    shutil.copytree(fixture, clone, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    before = sorted(clone.rglob("*"))
    outcome = run(clone)
    assert outcome.passed, outcome.log.read_text()
    assert outcome.failures == ()
    assert outcome.tests >= 20
    assert len(list(ET.parse(outcome.junit).iter("testcase"))) == outcome.tests
    log = outcome.log.read_text()
    assert "`pip install -r requirements.txt pytest`: met by the packages of this environment" in log
    assert "actions/checkout@v4: met by the clean clone" in log
    assert sorted(clone.rglob("*")) == before


def test_a_red_test_is_named_with_its_message(tmp_path: Path) -> None:
    """The failing test, not the step, is what the outcome tells; later steps do not run."""
    files = {"test_sums.py": GREEN + "def test_sums():\n    assert 1 + 1 == 3\n"}
    outcome = run(repository(tmp_path, "- run: python -m pytest\n- run: touch later\n", files))
    assert not outcome.passed
    assert outcome.tests == 2
    assert [(failure.name, failure.suite) for failure in outcome.failures] == [("test_sums", "test_sums")]
    assert "assert (1 + 1) == 3" in outcome.failures[0].message
    assert not (tmp_path / "clone/later").exists()


def test_a_test_file_that_cannot_be_imported_is_red(tmp_path: Path) -> None:
    """An error while collecting counts like a failed test."""
    outcome = run(
        repository(tmp_path, "- run: python -m pytest\n", {"test_broken.py": "import no_such_module_at_all\n"})
    )
    assert not outcome.passed
    assert "no_such_module_at_all" in outcome.failures[0].message or "collection failure" in outcome.failures[0].message


def test_a_step_without_tests_that_fails_is_named(tmp_path: Path) -> None:
    """A linter's exit code makes the commit red, with the end of its output."""
    steps = """\
        - name: Lint
          run: |
            echo line too long
            exit 3
        - run: python -m pytest
        """
    outcome = run(repository(tmp_path, steps, {"test_it.py": GREEN}))
    assert [failure.name for failure in outcome.failures] == ["step Lint"]
    assert outcome.failures[0].message.startswith("ended with 3")
    assert "line too long" in outcome.failures[0].message


def test_the_first_failing_command_of_a_step_ends_it(tmp_path: Path) -> None:
    """As on GitHub: errexit and pipefail."""
    outcome = run(repository(tmp_path, "- run: |\n    false | cat\n    touch reached\n", {}))
    assert not outcome.passed
    assert not (tmp_path / "clone/reached").exists()


def test_tests_that_hang_are_ended_with_everything_they_started(tmp_path: Path) -> None:
    """The time limit is a red outcome, and no process of the tests is left."""
    hang = "import subprocess, pathlib\ndef test_hangs():\n    child = subprocess.Popen(['sleep', '300'])\n    pathlib.Path('pid').write_text(str(child.pid))\n    child.wait()\n"
    outcome = run(repository(tmp_path, "- name: Test\n  run: python -m pytest\n", {"test_hang.py": hang}), timeout_s=4)
    assert [failure.name for failure in outcome.failures] == ["step Test"]
    assert "still ran when the 4 s of the job were over" in outcome.failures[0].message
    process = Path("/proc") / (tmp_path / "clone/pid").read_text()
    assert not process.exists() or "State:\tZ" in (process / "status").read_text()


def test_a_job_that_tests_nothing_is_not_green(tmp_path: Path) -> None:
    """A workflow whose test step was taken out does not wave the commit through."""
    outcome = run(repository(tmp_path, "- run: echo fine\n", {"test_it.py": GREEN}))
    assert [failure.name for failure in outcome.failures] == ["no test ran"]


def test_nothing_of_our_environment_reaches_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither credentials nor our home nor anything that changes how Python runs."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    steps = (
        "- run: env > seen.txt\n  env: {ANSWER: 42, TOKEN: '${{ secrets.TOKEN }}', ON: true}\n- run: python -m pytest\n"
    )
    outcome = run(repository(tmp_path, steps, {"test_it.py": GREEN}, job="env: {ANSWER: 1, JOB: here}\n"))
    assert outcome.passed, outcome.failures
    seen = dict(line.split("=", 1) for line in (tmp_path / "clone/seen.txt").read_text().splitlines() if "=" in line)
    assert "hunter2" not in seen.values()
    assert not {"AWS_SECRET_ACCESS_KEY", "PYTHONPATH"} & set(seen)
    assert (seen["ANSWER"], seen["JOB"], seen["TOKEN"], seen["ON"]) == ("42", "here", "", "true")
    assert not Path(seen["HOME"]).exists()


def test_steps_run_where_they_say(tmp_path: Path) -> None:
    """working-directory and the workflow's several pytest calls: all tests are counted."""
    files = {"one/test_a.py": GREEN, "two/test_b.py": GREEN}
    steps = "- run: python -m pytest\n  working-directory: one\n- run: python -m pytest\n  working-directory: two\n"
    outcome = run(repository(tmp_path, steps, files))
    assert outcome.passed, outcome.failures
    assert outcome.tests == 2


def test_a_folder_outside_the_repository_is_refused(tmp_path: Path) -> None:
    """A step cannot be told to run elsewhere."""
    outcome = run(repository(tmp_path, "- run: touch escaped\n  working-directory: ../..\n"))
    assert "there is no folder ../.. in the repository" in outcome.failures[0].message


@pytest.mark.parametrize(
    ("workflow", "says"),
    [
        ("jobs: [", "is no YAML"),
        ("- jobs", "the workflow must be a mapping, not list"),
        ("on: push", "jobs must be a mapping"),
        ("jobs: {test: {steps: 3}}", "jobs.test.steps must be a list"),
        ("jobs: {test: {steps: [{name: x}]}}", r"jobs.test.steps\[0\] must have either run or uses"),
        ("jobs: {test: {steps: [{run: x, shell: pwsh}]}}", "only bash can be run here"),
        ("jobs: {test: {steps: [{run: 'x ${{ matrix.python }}'}]}}", "matrix.python }}, which cannot be evaluated"),
        ("jobs: {a: {steps: [{run: x}]}, b: {steps: [{run: x}]}}", "found: a .*, b"),
    ],
)
def test_a_broken_workflow_is_red_and_says_where(tmp_path: Path, workflow: str, says: str) -> None:
    """The team's mistake: a red outcome that names the file and the place, no crash of the harness."""
    clone = repository(tmp_path, "[]", {".github/workflows/ci.yml": workflow})
    with pytest.raises(WorkflowError, match=says):
        read_job(clone)
    outcome = run(clone)
    assert not outcome.passed
    assert ".github/workflows" in outcome.failures[0].name
    assert outcome.junit.is_file()


def test_a_repository_without_a_workflow_is_red(tmp_path: Path) -> None:
    """Nothing to run is not the same as all is well."""
    (tmp_path / "clone").mkdir()
    assert "the repository has no workflow" in run(tmp_path / "clone").failures[0].message


def test_what_is_not_understood_is_said_in_the_log(tmp_path: Path) -> None:
    """Unknown actions, conditions and a pin that this environment does not meet."""
    steps = """\
        - uses: someone/scan@v1
        - run: pip install -r requirements.txt
        - run: python -m pytest
          if: always()
        """
    files = {"requirements.txt": "pandas==0.1\nnosuchpackage>=1\n", "test_it.py": GREEN}
    outcome = run(repository(tmp_path, steps, files, job="strategy: {matrix: {python: [3]}}\n"))
    assert outcome.passed
    log = outcome.log.read_text()
    assert "uses someone/scan@v1: not run" in log
    assert "jobs.test.strategy is not evaluated here" in log
    assert "`if` is not evaluated here" in log
    assert "pandas==0.1 is asked for; this environment has 2." in log
    assert "nosuchpackage>=1 is asked for; this environment has none" in log
