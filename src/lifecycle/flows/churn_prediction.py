"""`churn_prediction_pipeline`: the main flow, from the source table to a served, logged and watched prediction.

    extract -> validate -+-> version_data ---+
                         +-> apply_features -+-> train -> gate -> promote -> commit_manifest -> sync -> verify -> drift_report -> lineage
    commit_code -> ci -> build_image --------+
                         apply_features -> materialise

Branches that do not need each other run side by side. A step that refuses to go on (bad data, red tests) raises StepStopped and
nothing that depends on it starts; a closed gate ends the flow in good order with the champion untouched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner

from lifecycle.domain.events import Loop, StepSkipped
from lifecycle.flows.binding import context_of, step
from lifecycle.loops import code, data, deployment, governance, model, monitoring

AFTER_THE_GATE = (
    ("promote", Loop.MODEL),
    ("commit_manifest", Loop.DEPLOYMENT),
    ("sync", Loop.DEPLOYMENT),
    ("verify", Loop.DEPLOYMENT),
    ("drift_report", Loop.MONITORING),
)


@dataclass(frozen=True)
class ChurnPrediction:
    """How the flow ended: the version it trained and whether it was promoted."""

    model_version: str
    promoted: bool


@flow(
    name="churn_prediction_pipeline",
    task_runner=ThreadPoolTaskRunner[Any](max_workers=6),
    validate_parameters=False,
    persist_result=False,
    log_prints=False,
)
def churn_prediction_pipeline(run: str) -> ChurnPrediction:
    """Run all six loops once; `run` is the key of the bound RunContext."""
    context = context_of(run)
    committed = step(code.commit_code).submit(run)
    tested = step(code.ci).submit(run, committed)
    image = step(code.build_image).submit(run, committed, wait_for=[tested])

    extracted = step(data.extract).submit(run)
    validated = step(data.validate).submit(run, extracted)
    features = step(data.apply_features).submit(run, extracted, wait_for=[validated])
    versioned = step(data.version_data).submit(run, extracted, wait_for=[validated])
    materialised = step(data.materialise).submit(run, features)

    # results are asked for in the order in which a user would want to hear of a failure: bad data first, then red tests
    validated.result()
    tested.result()
    training = (
        step(model.train)
        .submit(run, extracted.result(), versioned.result(), features.result(), committed.result(), image.result())
        .result()
    )
    decision = step(model.gate).submit(run, training).result()
    if not decision.passed:
        materialised.result()
        for name, loop in AFTER_THE_GATE:
            context.emit(
                StepSkipped(
                    step=name, loop=loop, why="the gate is closed: " + "; ".join(decision.reasons), verb=context.verb
                )
            )
        step(governance.check_lineage).submit(run).result()
        return ChurnPrediction(training.model_version, promoted=False)
    step(model.promote).submit(run, training).result()
    manifest = step(deployment.commit_manifest).submit(run, training).result()
    step(deployment.sync).submit(run, manifest).result()
    step(deployment.verify).submit(run, training).result()
    step(monitoring.drift_report).submit(run, training).result()
    materialised.result()
    step(governance.check_lineage).submit(run).result()
    return ChurnPrediction(training.model_version, promoted=True)
