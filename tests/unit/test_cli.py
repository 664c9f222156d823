"""The commands as a user types them, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [str(Path(sys.executable).parent / "lifecycle")]


def lifecycle(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_help_imports_nothing_heavy() -> None:
    """`lifecycle --help` answers without any tool's SDK, which is what keeps it quick."""
    code = "import sys; sys.argv = ['lifecycle', '--help']\nfrom lifecycle.cli import main\ntry: main()\nexcept SystemExit: pass\nprint(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout
    for heavy in ("prefect", "mlflow", "kfp", "feast", "great_expectations", "pandas", "sklearn", "boto3", "pydantic"):
        assert f"'{heavy}'" not in loaded


def _commands() -> list[str]:
    from lifecycle.cli import main

    return sorted(main.commands)


@pytest.mark.parametrize("command", _commands())
def test_every_command_shows_an_example(command: str) -> None:
    """`--help` of each command ends with an example that begins with the command itself."""
    done = lifecycle(command, "--help")
    assert done.returncode == 0
    assert f"Example:\n    lifecycle {command}" in done.stdout


def test_list_shows_every_scenario_with_its_title() -> None:
    """Each file of scenarios/ is a line."""
    done = lifecycle("list")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(
        file.stem for file in (ROOT / "scenarios").glob("*.yaml")
    )


def test_validate_says_valid_and_ends_with_zero() -> None:
    """A valid scenario is said to be one."""
    done = lifecycle("validate", "scenarios/churn_prediction.yaml")
    assert (done.returncode, done.stdout) == (0, "scenarios/churn_prediction.yaml: valid\n")


def test_validate_reports_all_mistakes_of_all_files_and_ends_with_two(tmp_path: Path) -> None:
    """Invalid input is exit code 2, on standard error, without a traceback."""
    (tmp_path / "a.yaml").write_text("name: a\n")
    (tmp_path / "b.yaml").write_text("nam: b\n")
    done = lifecycle("validate", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"))
    assert done.returncode == 2
    assert f"{tmp_path}/a.yaml:1: needs the property 'title'" in done.stderr
    assert f"{tmp_path}/b.yaml:1: nam: there is no such property here; did you mean name?" in done.stderr
    assert "Traceback" not in done.stderr


def test_schema_prints_json_schema() -> None:
    """Both schemas are JSON with the properties of their files."""
    assert "given" in json.loads(lifecycle("schema").stdout)["properties"]
    assert "expectations" in json.loads(lifecycle("schema", "--use-case").stdout)["properties"]
