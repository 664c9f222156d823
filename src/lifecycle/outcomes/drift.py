"""`drift`: the latest drift report, read back from the bucket it is kept in."""

from __future__ import annotations

import json

from lifecycle.outcomes.base import Check, Finding, names, outcome
from lifecycle.outcomes.world import World
from lifecycle.scenario.expectations import DriftExpectation


@outcome("drift")
def judge(world: World, expectation: DriftExpectation) -> Finding:
    """What Evidently's report says of the served rows against the rows the serving version was trained on."""
    service = world.story.use_case.serving.service
    store = world.stack.object_store
    prefix = f"s3://lake/drift/{service}/"
    reports = sorted(uri for uri in store.list(prefix) if uri.endswith(".json"))
    report = json.loads(store.get(reports[-1])) if reports else None
    checks: list[Check] = []
    drifted = [column["column"] for column in report["columns"] if column["drifted"]] if report else []
    if expectation.detected is not None:
        wanted = "drift" if expectation.detected else "no drift"
        said = "no report" if report is None else "drift" if report["detected"] else "no drift"
        share = "" if report is None else f", {len(drifted)} of {len(report['columns'])} columns"
        checks.append(Check(wanted, said + share, report is not None and report["detected"] == expectation.detected))
    if expectation.columns is not None:
        checks.append(
            Check(
                f"drifted: {names(expectation.columns)}",
                f"drifted: {names(drifted)}",
                set(expectation.columns) <= set(drifted),
            )
        )
    return Finding(
        tuple(checks), reports[-1] if reports else prefix, "the drift page in the report", {"report": report}
    )
