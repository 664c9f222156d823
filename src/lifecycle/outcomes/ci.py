"""`ci`: the team's tests, read back from the JUnit file they wrote, the lineage graph and the registry."""

from __future__ import annotations

from typing import Literal
from xml.etree import ElementTree as ET

from lifecycle.outcomes.base import Check, Finding, names, outcome
from lifecycle.outcomes.runs import state_of
from lifecycle.outcomes.world import World
from lifecycle.scenario.expectations import CiExpectation


@outcome("ci")
def judge(world: World, expectation: CiExpectation | Literal["passed"]) -> Finding:
    """Passed: tests ran, none failed, and the commit's image is in the registry. Failed: red tests, and no image of that commit."""
    path = world.evidence / "ci-junit.xml"
    ran, red = _results(path.read_bytes()) if path.is_file() else (0, [])
    commit = world.stack.git.head("training")
    image = world.stack.registry.tag_exists(world.story.use_case.training.model_name, commit)
    job = state_of(world, "ci")
    checks: list[Check] = []
    found = f"{ran} tests ran, failed: {names(red)}"
    if expectation == "passed":
        checks.append(Check("at least 1 test ran, none failed", found, ran > 0 and not red))
        checks.append(Check("image of the commit in the registry", _image(image), image))
        checks.append(Check("job ci COMPLETED", f"job ci {job}", job == "COMPLETED"))
    else:
        if expectation.failed:
            checks.append(Check("a test failed", found, bool(red)))
            checks.append(Check("no image of the commit in the registry", _image(image), not image))
            checks.append(Check("job ci FAILED", f"job ci {job}", job == "FAILED"))
        if expectation.test is not None:
            checks.append(Check(f"{expectation.test} failed", f"failed: {names(red)}", expectation.test in red))
    return Finding(
        tuple(checks),
        read_from=f"{path.name} as pytest wrote it, the registry, Marquez",
        look_next="logs of the step ci in the report; the commit in the training repository",
        facts={"commit": commit, "tests": ran, "failed": red, "image": image, "job": job},
    )


def _image(there: bool) -> str:
    return "there is an image" if there else "there is none"


def _results(junit: bytes) -> tuple[int, list[str]]:
    """How many tests ran, and the names of those that failed or broke."""
    cases = list(ET.fromstring(junit).iter("testcase"))  # noqa: S314 - written by the pytest that this run started
    red = [
        case.get("name", "?") for case in cases if case.find("failure") is not None or case.find("error") is not None
    ]
    return len(cases), red
