"""`predictions`: the prediction log in the bucket, checked against the registered models themselves."""

from __future__ import annotations

from lifecycle.domain.endpoints import BUCKET_PREDICTIONS, ObjectStoreEndpoint
from lifecycle.outcomes.base import Check, Finding, outcome
from lifecycle.outcomes.world import World
from lifecycle.scenario.expectations import Bound, PredictionsExpectation

TOLERANCE = 1e-9


@outcome("predictions")
def judge(world: World, expectation: PredictionsExpectation) -> Finding:
    """How many predictions the log holds, and whether each is what the model version it names gives for the row it shows."""
    from lifecycle.tools.prediction_log import settled

    use_case = world.story.use_case
    service = use_case.serving.service
    rows = settled(world.stack.object_store, world.stack.kserve, service)
    checks: list[Check] = []
    wanted = expectation.logged
    if isinstance(wanted, Bound):
        checks.append(Check(f"{wanted} logged", f"{len(rows)} logged", wanted.holds(len(rows))))
    elif wanted is not None:
        checks.append(Check(f"{wanted} logged", f"{len(rows)} logged", len(rows) == wanted))
    distinct = len({(row.request_id, row.index) for row in rows})
    checks.append(Check("no prediction twice in the log", f"{len(rows) - distinct} twice", distinct == len(rows)))
    worst = 0.0
    if expectation.equal_model:
        worst = _largest_difference(world, rows)
        checks.append(
            Check(
                "every probability is the model's own",
                f"largest difference {worst:.1e} in {len(rows)} rows",
                bool(rows) and worst <= TOLERANCE,
            )
        )
    return Finding(
        tuple(checks),
        read_from=f"s3://{BUCKET_PREDICTIONS}/{service} ({world.stack.endpoint(ObjectStoreEndpoint).url}), models from MLflow",
        look_next="the model server's log in the run folder; objects below the prefix",
        facts={"logged": len(rows), "largest_difference": worst},
    )


def _largest_difference(world: World, rows: list) -> float:  # type: ignore[type-arg]
    """Between a logged probability and what the version's own artifact gives for the row; infinite when it gives none."""
    import pandas as pd

    versions = {
        version.version: version for version in world.stack.mlflow.versions(world.story.use_case.training.model_name)
    }
    worst = 0.0
    for number in sorted({row.model_version for row in rows}):
        if number not in versions:
            return float("inf")
        model = world.stack.mlflow.load_sklearn(versions[number].model_uri)
        mine = [row for row in rows if row.model_version == number]
        frame = pd.DataFrame([dict(row.values) for row in mine])[list(model.feature_names_in_)]
        own = model.predict_proba(frame)[:, 1]
        worst = max(worst, *(abs(float(p) - row.probability) for p, row in zip(own, mine, strict=True)))
    return worst
