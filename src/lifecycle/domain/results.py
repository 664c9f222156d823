"""What each step of the loops hands to the next: frozen records of plain values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# --- data loop


@dataclass(frozen=True)
class Extract:
    """Rows of the source table as one Parquet object under a content-addressed name (`raw/<table>/<sha256>.parquet`)."""

    table: str
    rows: int
    bytes: int
    watermark: str  # highest event time read, ISO 8601 UTC
    uri: str  # s3://lake/raw/<table>/<sha256>.parquet
    sha256: str
    path: Path  # the same bytes in the run folder
    columns: tuple[tuple[str, str], ...]  # (name, Arrow type)


@dataclass(frozen=True)
class Validation:
    """A passed validation; `report` is Great Expectations' own result as JSON in the run folder."""

    expectations: int
    report: Path


@dataclass(frozen=True)
class DataVersion:
    """The extract as a DVC version: the git commit of the data repository and DVC's hash of the content."""

    repository: str
    commit: str
    path: str  # of the tracked file in the repository
    md5: str


@dataclass(frozen=True)
class FeatureSet:
    """The applied Feast repository: everything a component needs to open the same store."""

    project: str
    feature_store_yaml: str
    entity: str
    join_key: str
    views: tuple[str, ...]
    references: tuple[str, ...]  # "view:feature", in the order of the use case
    source_uri: str  # the Parquet object the views read


# --- code loop


@dataclass(frozen=True)
class CodeVersion:
    """One commit of the team's training repository."""

    repository: str
    commit: str


@dataclass(frozen=True)
class CiResult:
    """The team's tests in a clean clone of the commit."""

    commit: str
    tests: int
    seconds: float
    log: Path
    junit: Path


@dataclass(frozen=True)
class Image:
    """An image in the registry; `reference` is host/name@sha256:..., the tag is the commit."""

    reference: str
    digest: str
    tag: str
    layers: int
    bytes: int


# --- model loop


@dataclass(frozen=True)
class Training:
    """A finished training pipeline: the run in Kubeflow Pipelines, the run and model version in MLflow, and the data it left."""

    kfp_run_id: str
    mlflow_run_id: str
    model_name: str
    model_version: str
    model_uri: str  # s3:// folder with the model's artifacts, as an InferenceService's storageUri takes it
    metrics: tuple[tuple[str, float], ...]
    training_uri: str  # s3:// Parquet of the rows the model was fitted on: the drift reference
    holdout_uri: str  # s3:// Parquet of the rows it was evaluated on
    commit: str
    data_version: str
    image_digest: str


# --- deployment loop


@dataclass(frozen=True)
class DeploymentCommit:
    """The manifests of a model version as committed to the deployment repository."""

    repository: str
    commit: str
    path: str
    model_version: str


@dataclass(frozen=True)
class Served:
    """The service as found after the sync: which model version, how many holdout rows answered like the model itself."""

    service: str
    url: str
    model_version: str
    checked_rows: int
    protocols: tuple[str, ...]
    max_difference: float


# --- monitoring loop


@dataclass(frozen=True)
class DriftColumn:
    """One column's test: Evidently's method, its score and whether that means drift."""

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool


@dataclass(frozen=True)
class DriftReport:
    """An Evidently report of the prediction log against the training reference of the serving version."""

    rows: int
    reference_rows: int
    columns: tuple[DriftColumn, ...]
    share: float
    threshold: float
    detected: bool
    model_version: str
    html: Path
    uri: str  # s3:// address of the report kept in the bucket
