"""What a step read and wrote, in OpenLineage's terms but free of its SDK.

Naming follows https://openlineage.io/docs/spec/naming/ with one difference: hosts are logical (`postgres://source`), so that the graphs
of two runs, or of two tiers, can be compared; the physical address, without credentials, goes into the dataSource facet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class DatasetKind(StrEnum):
    """What a dataset node stands for; it travels in a custom facet so that a reader of the graph can tell the nodes apart."""

    TABLE = "table"
    OBJECT = "object"
    DVC_VERSION = "dvc_version"
    FEATURE_VIEW = "feature_view"
    TRAINING_SET = "training_set"
    REPOSITORY = "repository"
    IMAGE = "image"
    MODEL = "model"
    METRICS = "metrics"
    MODEL_VERSION = "model_version"
    MANIFEST = "manifest"
    SERVICE = "service"
    PREDICTION_LOG = "prediction_log"
    DRIFT_REPORT = "drift_report"


@dataclass(frozen=True)
class Column:
    """One column of a dataset's schema facet."""

    name: str
    type: str


@dataclass(frozen=True)
class ColumnSource:
    """One input column that an output column was made from."""

    namespace: str
    dataset: str
    column: str


@dataclass(frozen=True)
class ColumnLineage:
    """Where one output column comes from; `transformation` is IDENTITY, TRANSFORMATION or AGGREGATION as in the OpenLineage facet."""

    column: str
    sources: tuple[ColumnSource, ...]
    transformation: str = "IDENTITY"


@dataclass(frozen=True)
class Quality:
    """Data quality metrics facet: rows, bytes and nulls per column."""

    rows: int
    bytes: int | None = None
    nulls: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Dataset:
    """One node a step read or wrote."""

    kind: DatasetKind
    namespace: str
    name: str
    columns: tuple[Column, ...] = ()
    version: str = ""
    source_uri: str = ""
    quality: Quality | None = None
    column_lineage: tuple[ColumnLineage, ...] = ()
    facts: tuple[tuple[str, str], ...] = field(default=())

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name): what identifies the node in Marquez."""
        return (self.namespace, self.name)


@dataclass(frozen=True)
class SourceCode:
    """Source code location facet of a job: the repository and commit whose code ran."""

    repository: str
    commit: str
