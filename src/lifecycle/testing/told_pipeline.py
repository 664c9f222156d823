"""A whole run of the main flow told to a lineage sink: every step reads and writes what it would, under the real names."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from lifecycle.domain import naming
from lifecycle.domain.events import Event, Loop
from lifecycle.domain.lineage import Dataset, Quality, SourceCode
from lifecycle.domain.results import (
    CodeVersion,
    DataVersion,
    DeploymentCommit,
    DriftReport,
    Extract,
    FeatureSet,
    Image,
    Training,
)
from lifecycle.domain.steps import FLOWS, STEPS, Node
from lifecycle.domain.use_case import UseCase
from lifecycle.loops.context import LineageSink, RunContext, Step
from lifecycle.loops.governance import flow_run

FLOW = "churn_prediction_pipeline"
FLOW_RUN = "7b0c8a52-0000-4000-8000-000000000001"
COMMIT = "4d7e0c1b2a"
DOING = tuple(name for name in FLOWS[FLOW].steps if name != "lineage")


def datasets(case: UseCase) -> dict[Node, tuple[Dataset, ...]]:
    """What stands at each place of the flow's graph after a run."""
    columns = tuple((column.name, "string") for column in case.data.columns)
    extract = Extract(
        case.data.table, 7043, 90_000, "2026-03-01T00:00:00Z", "s3://lake/raw/customers/abc.parquet", "abc", Path("x"), columns
    )  # fmt: skip
    data_version = DataVersion("file:///data.git", "d0a1", "customers.parquet", "md5abc")
    views = tuple(view.name for view in case.features.views)
    features = FeatureSet(case.name, "", case.features.entity, case.data.key, views, (), extract.uri)
    image = Image("127.0.0.1:5000/telco_churn@sha256:feed", "sha256:feed", COMMIT, 2, 100)
    training = Training(
        "kfp-1", "mlflow-1", case.training.model_name, "1", "s3://mlflow/1", (("roc_auc", 0.84),),
        "s3://lake/training/1.parquet", "s3://lake/holdout/1.parquet", COMMIT, "d0a1", "sha256:feed",
    )  # fmt: skip
    report = DriftReport(500, 5634, (), 0.0, 0.3, False, "1", Path("x"), "s3://lake/drift/1.html")
    deployed = DeploymentCommit("file:///deployment.git", "beef", "models/churn.yaml", "1")
    return {
        Node.TABLE: (naming.table(case, extract),),
        Node.RAW: (naming.raw_object(extract),),
        Node.DATA_VERSION: (naming.dvc_version(case, data_version),),
        Node.FEATURE_VIEWS: naming.feature_views(case, features),
        Node.REPOSITORY: (naming.repository_of(case, CodeVersion("file:///training.git", COMMIT)),),
        Node.IMAGE: (naming.image_of(case, image),),
        Node.TRAINING_SET: (naming.training_set(case, training, quality=Quality(5634)),),
        Node.HOLDOUT: (naming.holdout(case, training, quality=Quality(1409)),),
        Node.MODEL_VERSION: (naming.model_version(case, training),),
        Node.MODEL: (naming.model(case, "1"),),
        Node.MANIFEST: (naming.manifest_of(deployed),),
        Node.SERVICE: (naming.service("models", case.serving.service, model_version="1"),),
        Node.PREDICTIONS: (naming.prediction_log(case, model_version="1"),),
        Node.DRIFT_REPORT: (naming.drift_report(case, report),),
    }


def context(use_case: UseCase, run_dir: Path, sink: LineageSink, stack: Any) -> RunContext:
    """A run context whose events go to the run folder's journal."""

    def journal(event: Event) -> None:
        with (run_dir / "journal.jsonl").open("a") as file:
            file.write(event.to_json() + "\n")

    return RunContext(FLOW_RUN, FLOW, 7, stack, use_case, run_dir, journal, sink, verb=1)


def tell(
    ctx: RunContext,
    *,
    steps: tuple[str, ...] = DOING,
    stop_at: str = "",
    last: Callable[[RunContext], Any] | None = None,
) -> None:
    """Run the steps; `stop_at` fails that one, `last` is called inside the flow run after them."""
    nodes = datasets(ctx.use_case)
    with flow_run(ctx):
        for name in steps:
            with ctx.step(name, Loop.DATA) as step:
                _do(step, nodes)
                if name == stop_at:
                    raise ValueError(f"{name} found something wrong")
        if last is not None:
            last(ctx)


def _do(step: Step, nodes: dict[Node, tuple[Dataset, ...]]) -> None:
    told = STEPS[step.name]
    for node in told.reads:
        step.reads(*nodes[node])
    for node in told.writes:
        step.writes(*nodes[node])
    if told.code is not None:
        step.source_code = SourceCode("file:///training.git", COMMIT)


def predictions(run_dir: Path) -> None:
    """A prediction log of three requests as the model server writes it."""
    folder = run_dir / "evidence"
    folder.mkdir(exist_ok=True)
    with (folder / "predictions.jsonl").open("w") as file:
        for number in range(3):
            record = {
                "request_id": f"verify-v1-{number}", "index": 0, "time": datetime(2026, 3, 1).isoformat(),
                "service": "churn", "model_version": "1", "values": {"tenure": 5}, "probability": 0.25 * number,
                "key": f"C{number:05d}",
            }  # fmt: skip
            file.write(json.dumps(record) + "\n")
