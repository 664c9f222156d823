"""The monitoring loop: what the service was asked is held against what its model was trained on."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.domain import naming
from lifecycle.domain.endpoints import BUCKET_LAKE
from lifecycle.domain.errors import ServiceError
from lifecycle.domain.events import Loop
from lifecycle.domain.results import DriftReport, Training

if TYPE_CHECKING:
    import pandas as pd

    from lifecycle.domain.use_case import UseCase
    from lifecycle.loops.context import RunContext
    from lifecycle.tools.evidently import DriftOutcome
    from lifecycle.tools.prediction_log import Prediction

NUMBERS = ("integer", "number")


def drift_report(ctx: RunContext, training: Training) -> DriftReport:
    """Evidently's report of the predictions that the version has made so far, kept in the run folder and in the bucket.

    Raises:
        ServiceError: the version has made no prediction yet.
    """
    from lifecycle.tools import evidently
    from lifecycle.tools.prediction_log import settled

    with ctx.step("drift_report", Loop.MONITORING, title="Hold the predictions against the training set") as step:
        use_case, service = ctx.use_case, ctx.use_case.serving.service
        step.reads(
            naming.prediction_log(use_case, model_version=training.model_version),
            naming.training_set(use_case, training),
        )
        log = settled(ctx.stack.object_store, ctx.stack.kserve, service)
        write_predictions(ctx.run_dir / "evidence" / "predictions.jsonl", log)
        served = [row for row in log if row.model_version == training.model_version]
        if not served:
            raise ServiceError(
                f"the prediction log of {service} has no row of version {training.model_version} among its {len(log)}",
                fix="send traffic to the version first; look at the model server's log",
            )
        numerical, categorical = watched(use_case)
        reference, reference_rows = _reference(ctx, training, (*numerical, *categorical))
        outcome = evidently.drift(
            reference,
            _frame(served),
            numerical=numerical,
            categorical=categorical,
            threshold=use_case.drift.share,
            html=ctx.run_dir / "evidence" / f"drift-{ctx.verb}.html",
            seed=ctx.seed,
        )
        report = _keep(ctx, training, dataclasses.replace(outcome, reference_rows_given=reference_rows))
        step.writes(naming.drift_report(use_case, report))
        step.note(
            rows=report.rows,
            drifted=f"{sum(column.drifted for column in report.columns)} of {len(report.columns)}",
            detected=str(report.detected).lower(),
        )
        step.artifact("drift report", report.html.relative_to(ctx.run_dir))
    return report


def watched(use_case: UseCase) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns whose drift is watched, numbers and words apart: those the use case names, else the model's features."""
    types = {column.name: column.type for column in use_case.data.columns}
    names = use_case.drift.columns or use_case.features.columns
    numbers = tuple(name for name in names if types[name] in NUMBERS)
    return numbers, tuple(name for name in names if name not in numbers)


def write_predictions(path: Path, log: Sequence[Prediction]) -> None:
    """The prediction log's rows, one JSON object per line, as `lifecycle trace` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in log:
            file.write(json.dumps({**dataclasses.asdict(row), "values": dict(row.values)}, default=str) + "\n")


def _frame(rows: Sequence[Prediction]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([dict(row.values) for row in rows])


def _reference(ctx: RunContext, training: Training, columns: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """The rows the version was trained on, sampled when there are many, and how many there are."""
    from lifecycle.tools.evidently import sampled_parquet

    path = ctx.run_dir / "work" / f"reference-{ctx.verb}.parquet"
    ctx.stack.object_store.download(training.training_uri, path)
    try:
        return sampled_parquet(path, columns, seed=ctx.seed)
    finally:
        path.unlink()


def _keep(ctx: RunContext, training: Training, outcome: DriftOutcome) -> DriftReport:
    """The page and its numbers, in the bucket under names in the order of time, and as the run's evidence."""
    service, store = ctx.use_case.serving.service, ctx.stack.object_store
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    address = f"s3://{BUCKET_LAKE}/drift/{service}/{stamp}-v{training.model_version}"
    report = DriftReport(
        rows=outcome.rows,
        reference_rows=outcome.reference_rows,
        columns=outcome.columns,
        share=outcome.share,
        threshold=outcome.threshold,
        detected=outcome.detected,
        model_version=training.model_version,
        html=outcome.html,
        uri=f"{address}.html",
    )
    numbers = {
        **dataclasses.asdict(report),
        "html": outcome.html.name,
        "rows_given": outcome.rows_given,
        "reference_rows_given": outcome.reference_rows_given,
    }
    text = json.dumps(numbers, indent=1)
    evidence = ctx.run_dir / "evidence"
    (evidence / f"drift-{ctx.verb}.json").write_text(text, encoding="utf-8")
    shutil.copyfile(outcome.html, evidence / "drift.html")  # the latest under one name
    store.upload(outcome.html, report.uri)
    store.put(f"{address}.json", text.encode())  # last: whoever finds the numbers finds the page
    return report
