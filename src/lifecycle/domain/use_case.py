"""A use case: what one team's model is about. `fixtures/<name>/use_case.yaml` is read into these records.

A scenario's `given` may override any part; a user brings their own use case by writing such a file, without touching Python.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Record(BaseModel):
    """A frozen record that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnSpec(Record):
    """One column of the source table; `categories` bounds a string column's values."""

    name: str
    type: Literal["integer", "number", "string", "boolean", "timestamp"]
    nullable: bool = False
    categories: tuple[str, ...] = ()
    description: str = ""


class Label(Record):
    """The column to predict and the value that counts as positive."""

    column: str
    positive: str


class DataSpec(Record):
    """The source: a CSV beside the use case file, loaded into `table`; `key` and `event_time` name its columns."""

    file: str
    table: str
    key: str
    event_time: str
    columns: tuple[ColumnSpec, ...] = Field(min_length=3)
    chunk_rows: int = Field(default=50_000, ge=1, description="rows per chunk of the extraction")


class FeatureView(Record):
    """A Feast feature view over the extracted table."""

    name: str
    columns: tuple[str, ...] = Field(min_length=1)


class Features(Record):
    """Feast: the entity and its views; `ttl_days` bounds how far back a point-in-time join looks."""

    entity: str
    ttl_days: int = Field(default=3650, ge=1)
    views: tuple[FeatureView, ...] = Field(min_length=1)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for view in self.views for column in view.columns)


class Training(Record):
    """The team's training repository (a folder beside the use case file) and what is handed to its code."""

    repository: str
    module: str
    model_name: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    holdout_share: float = Field(default=0.2, gt=0, lt=1)


class GateRule(Record):
    """A bound on one metric of the holdout; `champion_margin` is how much worse than the champion the candidate may be (0: not at all)."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    champion_margin: float | None = None


class Serving(Record):
    """The inference service and its service levels."""

    service: str
    host: str
    error_rate: float = Field(default=0.01, ge=0, le=1)
    p95_ms: float = Field(default=100, gt=0)


class Drift(Record):
    """Drift: the columns watched (default: the model's features); drift means that more than `share` of them drifted."""

    share: float = Field(default=0.3, ge=0, le=1)
    columns: tuple[str, ...] = ()


class UseCase(Record):
    """The whole use case. `expectations` are Great Expectations' own, by snake-case name: [{expect_column_values_to_be_between: {...}}]."""

    name: str
    title: str
    description: str = ""
    data: DataSpec
    label: Label
    expectations: tuple[dict[str, dict[str, Any]], ...] = ()
    features: Features
    training: Training
    gate: tuple[GateRule, ...] = Field(min_length=1)
    serving: Serving
    drift: Drift = Drift()
    sensitive_attributes: tuple[str, ...] = ()
    seed: int = 7
    folder: Path = Field(default=Path("."), exclude=True, description="where the file was read from; set by the loader")
