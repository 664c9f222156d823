"""`data_quality`: what the validation found, read back from Great Expectations' own result, Marquez and git."""

from __future__ import annotations

import json
from typing import Any, Literal

from lifecycle.outcomes.base import Check, Finding, names, outcome
from lifecycle.outcomes.runs import state_of
from lifecycle.outcomes.world import World
from lifecycle.scenario.expectations import DataQualityExpectation

DOWNSTREAM = (
    "version_data",
    "apply_features",
    "materialise",
    "train",
    "gate",
    "promote",
    "commit_manifest",
    "sync",
    "verify",
    "drift_report",
)


@outcome("data_quality")
def judge(world: World, expectation: DataQualityExpectation | Literal["passed"]) -> Finding:
    """Passed: every expectation held. Failed: the run stopped there, and no step downstream of it has a run in the lineage graph."""
    path = world.evidence / "data_quality.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    failures: list[dict[str, Any]] = result.get("failures", [])
    count = int(result.get("expectations", 0))
    job = state_of(world, "validate")
    checks: list[Check] = []
    said = [f"{failure['column'] or 'table'} {failure['rule']} ({failure['unexpected']} rows)" for failure in failures]
    found = f"{count} expectations, not met: {names(said)}"
    if expectation == "passed":
        checks.append(Check("at least 1 expectation, all met", found, count > 0 and not failures))
        checks.append(Check("job validate COMPLETED", f"job validate {job}", job == "COMPLETED"))
    else:
        fitting = [failure for failure in failures if _fits(failure, expectation)]
        wanted = ", ".join(
            f"{key} {value}" for key, value in expectation.model_dump(exclude_unset=True).items() if key != "failed"
        )
        checks.append(Check(f"not met: {wanted or 'an expectation'}", found, bool(fitting)))
        if expectation.failed:
            started = [step for step in DOWNSTREAM if state_of(world, step) != "not run"]
            checks.append(Check("job validate FAILED", f"job validate {job}", job == "FAILED"))
            checks.append(Check("nothing downstream started", f"started downstream: {names(started)}", not started))
    return Finding(
        tuple(checks),
        read_from=f"Great Expectations' result ({path.name}), Marquez",
        look_next="the failed expectations and their example rows in the report",
        facts={"expectations": count, "failures": failures, "job": job},
    )


def _fits(failure: dict[str, Any], expectation: DataQualityExpectation) -> bool:
    return (
        (expectation.column is None or failure["column"] == expectation.column)
        and (expectation.rule is None or failure["rule"] == expectation.rule)
        and (expectation.unexpected is None or failure["unexpected"] == expectation.unexpected)
    )
