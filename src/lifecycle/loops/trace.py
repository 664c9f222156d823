"""From one prediction back to everything it came from: service, model version, run, image, commit, data version and rows.

Read from what a run left in its folder: `evidence/predictions.jsonl` (one JSON object per row of the prediction log, as the model
server writes them, with the row's own `key` where the sender knew it) and `evidence/lineage.json`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifecycle.domain.errors import InvalidInput
from lifecycle.domain.lineage import DatasetKind
from lifecycle.domain.lineage_graph import GraphDataset, LineageSnapshot, node_name
from lifecycle.loops.governance import read_evidence

PREDICTIONS = "predictions*.jsonl"
UNKNOWN = "not known"


@dataclass(frozen=True)
class TracedRow:
    """One row of the request; `key` is the entity's own key in the source table, empty when the request did not carry it."""

    index: int
    key: str
    probability: float | None
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Trace:
    """Where a prediction came from; an empty text means that the run left no word of it."""

    request_id: str
    at: str
    rows: tuple[TracedRow, ...]
    service: str
    model_version: str
    mlflow_run: str
    pipeline_run: str
    image_digest: str
    commit: str
    data_version: str
    training_rows: int | None
    source: tuple[str, ...]  # the source tables upstream, with their watermark

    def lines(self) -> Iterator[str]:
        """The trace as text for a terminal, one fact per line."""
        rows = "" if self.training_rows is None else f"{self.training_rows} rows"
        for what, value in (
            ("prediction", f"{self.request_id} at {self.at}" if self.at else self.request_id),
            *((f"row {row.index}", _row(row)) for row in self.rows),
            ("service", self.service),
            ("model version", self.model_version),
            ("MLflow run", self.mlflow_run),
            ("pipeline run", self.pipeline_run),
            ("image", self.image_digest),
            ("commit", self.commit),
            ("data version", self.data_version),
            ("trained on", rows),
            *(("source", source) for source in self.source),
        ):
            yield f"{what:14} {value or UNKNOWN}"


def trace(run_dir: Path, request_id: str) -> Trace:
    """Trace one prediction of a run.

    Raises:
        InvalidInput: the run left no predictions or no lineage, or the request id is unknown.
    """
    records = _records(run_dir, request_id)
    graph = read_evidence(run_dir)
    if graph is None:
        raise InvalidInput(
            f"{run_dir} holds no evidence/lineage.json", fix="trace in a run whose flow reached its lineage step"
        )
    first = records[0]
    service, version = str(first["service"]), str(first["model_version"])
    model = _model_version(graph, version)
    return Trace(
        request_id=request_id,
        at=str(first.get("time", "")),
        rows=tuple(_traced(record) for record in records),
        service=_name_of(graph, DatasetKind.SERVICE, service),
        model_version=node_name(model.key) if model else version,
        mlflow_run=model.fact("mlflow_run_id") if model else "",
        pipeline_run=model.fact("kfp_run_id") if model else "",
        image_digest=model.fact("image_digest") if model else "",
        commit=model.fact("commit") if model else "",
        data_version=_data_version(graph, model),
        training_rows=_training_rows(graph, model),
        source=_sources(graph, model),
    )


def _records(run_dir: Path, request_id: str) -> list[dict[str, Any]]:
    """The request's rows in their order."""
    files = [*sorted((run_dir / "evidence").glob(PREDICTIONS)), *sorted(run_dir.glob(PREDICTIONS))]
    if not files:
        raise InvalidInput(
            f"{run_dir} holds no predictions (evidence/predictions.jsonl)", fix="trace in a run that served predictions"
        )
    found: dict[int, dict[str, Any]] = {}
    known: dict[str, None] = {}
    for file in files:
        for line in file.read_text().splitlines():
            record = json.loads(line)
            known[str(record["request_id"])] = None
            if record["request_id"] == request_id:
                found[int(record.get("index", 0))] = record
    if not found:
        near = difflib.get_close_matches(request_id, known, n=3, cutoff=0.5) or list(known)[:3]
        raise InvalidInput(
            f"no prediction {request_id!r} among the {len(known)} of {run_dir.name}",
            fix=f"did you mean {', '.join(near)}?" if near else "the log is empty",
        )
    return [found[index] for index in sorted(found)]


def _traced(record: dict[str, Any]) -> TracedRow:
    values: dict[str, Any] = record.get("values") or {}
    probability = record.get("probability")
    return TracedRow(
        index=int(record.get("index", 0)),
        key=str(record.get("key") or ""),
        probability=None if probability is None else float(probability),
        values=tuple((name, str(value)) for name, value in values.items()),
    )


def _row(row: TracedRow) -> str:
    answer = "" if row.probability is None else f"{row.probability:.4f}"
    key = row.key or "key not sent"
    values = ", ".join(f"{name}={value}" for name, value in row.values)
    return f"{key} -> {answer or UNKNOWN}  ({values})" if values else f"{key} -> {answer or UNKNOWN}"


def _model_version(graph: LineageSnapshot, version: str) -> GraphDataset | None:
    """The node `<model>/<version>`; a log may also name the version in full."""
    ending = version.rpartition("/")[2]
    return next(
        (each for each in graph.of_kind(DatasetKind.MODEL_VERSION) if each.name.rpartition("/")[2] == ending), None
    )


def _name_of(graph: LineageSnapshot, kind: DatasetKind, name: str) -> str:
    node = next((each for each in graph.of_kind(kind) if each.name == name), None)
    return node_name(node.key) if node else name


def _data_version(graph: LineageSnapshot, model: GraphDataset | None) -> str:
    """The DVC version the model was trained on, with the content hash when the graph still shows that version."""
    if model is None:
        return ""
    wanted = model.fact("data_version")
    for each in graph.of_kind(DatasetKind.DVC_VERSION):
        if wanted and wanted in (each.version, each.fact("md5")):
            return f"{each.version} (md5 {each.fact('md5')})"
    return wanted


def _training_rows(graph: LineageSnapshot, model: GraphDataset | None) -> int | None:
    """Rows of the training set of that very training run; a later training writes the set anew."""
    if model is None:
        return None
    for each in graph.of_kind(DatasetKind.TRAINING_SET):
        if each.name.startswith("training/") and each.version == model.fact("mlflow_run_id"):
            return each.rows
    return None


def _sources(graph: LineageSnapshot, model: GraphDataset | None) -> tuple[str, ...]:
    if model is None:
        return ()
    upstream = graph.upstream(model.key)
    return tuple(
        f"{node_name(each.key)} up to {each.version}" if each.version else node_name(each.key)
        for each in graph.of_kind(DatasetKind.TABLE)
        if each.key in upstream
    )
