"""The team's training repository: its own tests are green, and the change that red_ci_stops_the_run pushes turns them red."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from lifecycle.scenario import load
from lifecycle.scenario.model import PushVerb

ROOT = Path(__file__).parents[2]


def own_tests(folder: Path) -> subprocess.CompletedProcess[str]:
    """The repository's own pytest, as its workflow calls it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_its_own_tests_are_green_and_the_pushed_change_turns_one_red(tmp_path: Path) -> None:
    """Green as it stands; after the scenario's push exactly the test that the scenario names is red."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / "fixtures/telco_churn/training_repository", folder)
    green = own_tests(folder)
    assert green.returncode == 0, green.stdout
    scenario = load(ROOT / "scenarios/red_ci_stops_the_run.yaml").scenario
    push = next(verb for verb in scenario.when if isinstance(verb, PushVerb)).push
    for replacement in push.replace:
        file = folder / replacement.file
        assert replacement.find in file.read_text()
        file.write_text(file.read_text().replace(replacement.find, replacement.with_))
    red = own_tests(folder)
    assert red.returncode == 1
    assert "FAILED tests/test_training.py::test_probabilities_are_probabilities" in red.stdout
