"""The name of every node in the lineage graph: the one place where a dataset's namespace, name and version are made.

A name is stable, so that the graphs of two runs or of two tiers can be compared; what changes from run to run (a hash, a
commit, a digest) is the dataset's version. Namespaces are logical hosts (`postgres://source`, `s3://lake`) after
https://openlineage.io/docs/spec/naming/; the physical address is `source_uri`.

The steps call these functions with what they did; the obligations (`domain.obligations`) ask for the same names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lifecycle.domain.endpoints import BUCKET_LAKE, BUCKET_PREDICTIONS
from lifecycle.domain.lineage import Column, ColumnLineage, ColumnSource, Dataset, DatasetKind, Quality
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
from lifecycle.domain.use_case import FeatureView, UseCase

SOURCE = "postgres://source"
LAKE = f"s3://{BUCKET_LAKE}"
PREDICTIONS = f"s3://{BUCKET_PREDICTIONS}"
DATA_VERSIONS = "dvc://data"
TRAINING_REPOSITORIES = "git://training"
DEPLOYMENT_REPOSITORY = "git://deployment"
IMAGES = "oci://registry"
MODELS = "mlflow://registry"

PREDICTION = Column("probability", "number")


def feature_store(use_case: UseCase) -> str:
    """The namespace of the use case's feature views."""
    return f"feast://{use_case.name}"


def services(namespace: str) -> str:
    """The Kubernetes namespace's services as a lineage namespace."""
    return f"kserve://{namespace}"


# --- data loop


def table(use_case: UseCase, extract: Extract | None = None, *, source_uri: str = "") -> Dataset:
    """The source table; with the extract its version is the watermark and its quality the rows that were read."""
    return Dataset(
        DatasetKind.TABLE,
        SOURCE,
        table_name(use_case.data.table),
        columns=columns_of(use_case),
        version=extract.watermark if extract else "",
        source_uri=source_uri,
        quality=Quality(extract.rows) if extract else None,
    )


def table_name(name: str) -> str:
    """Database, schema and table, as OpenLineage names a PostgreSQL table."""
    return f"lifecycle.public.{name}"


def raw_object(extract: Extract, *, nulls: Iterable[tuple[str, int]] = ()) -> Dataset:
    """The extract in the lake; every column is the table's own."""
    columns = tuple(Column(name, kind) for name, kind in extract.columns)
    return Dataset(
        DatasetKind.OBJECT,
        LAKE,
        raw_name(extract.table),
        columns=columns,
        version=extract.sha256,
        source_uri=extract.uri,
        quality=Quality(extract.rows, extract.bytes, tuple(nulls)),
        column_lineage=same_columns((SOURCE, table_name(extract.table)), [column.name for column in columns]),
    )


def raw_name(table_name: str) -> str:
    """The extract's name without the content hash, which is its version."""
    return f"raw/{table_name}"


def dvc_version(use_case: UseCase, version: DataVersion) -> Dataset:
    """The extract as DVC keeps it; its version is the commit of the data repository, its content hash a fact."""
    columns = columns_of(use_case)
    return Dataset(
        DatasetKind.DVC_VERSION,
        DATA_VERSIONS,
        use_case.data.table,
        columns=columns,
        version=version.commit,
        source_uri=f"{version.repository}#{version.path}",
        column_lineage=same_columns((LAKE, raw_name(use_case.data.table)), [column.name for column in columns]),
        facts=(("md5", version.md5), ("path", version.path)),
    )


def feature_view(use_case: UseCase, view: FeatureView, features: FeatureSet) -> Dataset:
    """One Feast feature view over the extract; its version is the Parquet object that it reads."""
    names = (use_case.data.key, use_case.data.event_time, *view.columns)
    return Dataset(
        DatasetKind.FEATURE_VIEW,
        feature_store(use_case),
        view.name,
        columns=columns_of(use_case, names),
        version=features.source_uri,
        source_uri=features.source_uri,
        column_lineage=same_columns((LAKE, raw_name(use_case.data.table)), names),
        facts=(("entity", features.entity), ("project", features.project)),
    )


def feature_views(use_case: UseCase, features: FeatureSet) -> tuple[Dataset, ...]:
    """All feature views of the use case."""
    return tuple(feature_view(use_case, view, features) for view in use_case.features.views)


# --- code loop


def repository(name: str, commit: str, *, source_uri: str = "") -> Dataset:
    """The team's training repository at a commit."""
    return Dataset(DatasetKind.REPOSITORY, TRAINING_REPOSITORIES, name, version=commit, source_uri=source_uri)


def repository_of(use_case: UseCase, code: CodeVersion) -> Dataset:
    """The use case's training repository at the commit."""
    return repository(repository_name(use_case), code.commit, source_uri=code.repository)


def repository_name(use_case: UseCase) -> str:
    """The training repository's name in the graph."""
    return use_case.name


def image(name: str, built: Image) -> Dataset:
    """An image in the registry; its version is the digest, the tag (the commit) is a fact."""
    return Dataset(
        DatasetKind.IMAGE,
        IMAGES,
        name,
        version=built.digest,
        source_uri=built.reference,
        facts=(("commit", built.tag),),
    )


def image_of(use_case: UseCase, built: Image) -> Dataset:
    """The use case's training image."""
    return image(image_name(use_case), built)


def image_name(use_case: UseCase) -> str:
    """The training image's name in the graph."""
    return use_case.name


# --- model loop


def training_set(use_case: UseCase, training: Training, *, quality: Quality | None = None) -> Dataset:
    """The rows the model was fitted on: the reference of drift."""
    return _split(use_case, training, training_set_name(use_case), training.training_uri, quality)


def holdout(use_case: UseCase, training: Training, *, quality: Quality | None = None) -> Dataset:
    """The rows the model was evaluated on."""
    return _split(use_case, training, holdout_name(use_case), training.holdout_uri, quality)


def training_set_name(use_case: UseCase) -> str:
    """The training set's name in the lake."""
    return f"training/{use_case.training.model_name}"


def holdout_name(use_case: UseCase) -> str:
    """The holdout's name in the lake."""
    return f"holdout/{use_case.training.model_name}"


def _split(use_case: UseCase, training: Training, name: str, uri: str, quality: Quality | None) -> Dataset:
    """Features come from their views; key, time and label from the versioned data."""
    given = (use_case.data.key, use_case.data.event_time, use_case.label.column)
    lineage = same_columns((DATA_VERSIONS, use_case.data.table), given)
    for view in use_case.features.views:
        lineage += same_columns((feature_store(use_case), view.name), view.columns)
    return Dataset(
        DatasetKind.TRAINING_SET,
        LAKE,
        name,
        columns=columns_of(use_case, (*given, *use_case.features.columns)),
        version=training.mlflow_run_id,
        source_uri=uri,
        quality=quality,
        column_lineage=lineage,
        facts=(("data_version", training.data_version),),
    )


def model(use_case: UseCase, version: str, *, alias: str = "champion") -> Dataset:
    """The registered model; its version is the model version that the alias points to."""
    return Dataset(
        DatasetKind.MODEL,
        MODELS,
        use_case.training.model_name,
        version=version,
        facts=(("alias", alias),) if alias else (),
    )


def model_version(use_case: UseCase, training: Training) -> Dataset:
    """One version of the registered model, with what it was made from as facts."""
    metrics = tuple((f"metric.{name}", f"{value:.6g}") for name, value in training.metrics)
    return Dataset(
        DatasetKind.MODEL_VERSION,
        MODELS,
        model_version_name(use_case.training.model_name, training.model_version),
        version=training.mlflow_run_id,
        source_uri=training.model_uri,
        facts=(
            ("mlflow_run_id", training.mlflow_run_id),
            ("kfp_run_id", training.kfp_run_id),
            ("commit", training.commit),
            ("data_version", training.data_version),
            ("image_digest", training.image_digest),
            *metrics,
        ),
    )


def model_version_name(model_name: str, version: str) -> str:
    """`<model>/<version>`."""
    return f"{model_name}/{version}"


# --- deployment loop


def manifest(path: str, commit: str, *, model_version: str = "", source_uri: str = "") -> Dataset:
    """A manifest in the deployment repository at a commit."""
    facts = (("model_version", model_version),) if model_version else ()
    return Dataset(
        DatasetKind.MANIFEST, DEPLOYMENT_REPOSITORY, path, version=commit, source_uri=source_uri, facts=facts
    )


def manifest_of(commit: DeploymentCommit) -> Dataset:
    """The manifests of a model version as committed."""
    return manifest(commit.path, commit.commit, model_version=commit.model_version, source_uri=commit.repository)


def service(namespace: str, name: str, *, model_version: str = "", source_uri: str = "") -> Dataset:
    """An InferenceService; its version is the model version that it serves."""
    return Dataset(DatasetKind.SERVICE, services(namespace), name, version=model_version, source_uri=source_uri)


# --- monitoring loop


def prediction_log(use_case: UseCase, service: str = "", *, model_version: str = "", source_uri: str = "") -> Dataset:
    """The requests and answers of a service: the features as sent and the prediction made from all of them."""
    features = use_case.features.columns
    holdout_of = (LAKE, holdout_name(use_case))
    sources = tuple(ColumnSource(*holdout_of, column) for column in features)
    return Dataset(
        DatasetKind.PREDICTION_LOG,
        PREDICTIONS,
        service or use_case.serving.service,
        columns=(*columns_of(use_case, features), PREDICTION),
        version=model_version,
        source_uri=source_uri,
        column_lineage=(*same_columns(holdout_of, features), ColumnLineage(PREDICTION.name, sources, "TRANSFORMATION")),
    )


def drift_report(use_case: UseCase, report: DriftReport) -> Dataset:
    """An Evidently report of a model version's predictions."""
    return Dataset(
        DatasetKind.DRIFT_REPORT,
        LAKE,
        drift_report_name(use_case.serving.service, report.model_version),
        version=report.uri,
        source_uri=report.uri,
        facts=(
            ("detected", str(report.detected).lower()),
            ("share", f"{report.share:.6g}"),
            ("rows", str(report.rows)),
        ),
    )


def drift_report_name(service: str, model_version: str) -> str:
    """`drift/<service>/<model version>`."""
    return f"drift/{service}/{model_version}"


# --- columns


def columns_of(use_case: UseCase, names: Sequence[str] | None = None) -> tuple[Column, ...]:
    """Columns of the source table with the use case's types; all of them, or the named ones in the given order."""
    types = {column.name: column.type for column in use_case.data.columns}
    return tuple(Column(name, types[name]) for name in (types if names is None else names))


def same_columns(dataset: tuple[str, str], names: Iterable[str]) -> tuple[ColumnLineage, ...]:
    """Column lineage of columns taken over unchanged from a dataset (namespace, name)."""
    return tuple(ColumnLineage(name, (ColumnSource(*dataset, name),)) for name in names)
