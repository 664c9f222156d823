"""Domain records as OpenLineage run events, made with the official client's own classes.

Specification: https://openlineage.io/docs/spec/object-model and https://openlineage.io/docs/spec/facets/. Everything a consumer can
check is a standard facet; what the graph's reader needs beyond them (what kind of thing a node is, facts about it) travels in the
custom dataset facet `lifecycle_node`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    RunFacet,
    column_lineage_dataset,
    data_quality_metrics_dataset,
    dataset_version_dataset,
    datasource_dataset,
    documentation_dataset,
    documentation_job,
    error_message_run,
    job_type_job,
    parent_run,
    processing_engine_run,
    schema_dataset,
    source_code_location_job,
)
from openlineage.client.generated.base import EventType
from openlineage.client.serde import Serde

from lifecycle.domain import steps
from lifecycle.domain.lineage import ColumnLineage, Dataset, Quality, SourceCode
from lifecycle.domain.lineage_graph import JOBS, NODE_FACET

PRODUCER = "https://lifecycle.example/harness"
NODE_FACET_SCHEMA = "https://lifecycle.example/schemas/1-0-0/LifecycleNodeDatasetFacet.json"

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@attr.define
class LifecycleNodeDatasetFacet(DatasetFacet):
    """What a dataset node stands for (`kind`, see `DatasetKind`) and short facts about it."""

    kind: str
    facts: dict[str, str] = attr.field(factory=dict)

    @staticmethod
    def _get_schema() -> str:
        return NODE_FACET_SCHEMA


def run_event(
    *,
    state: str,
    job: str,
    run_id: str,
    at: datetime,
    parent: tuple[str, str] | None,
    inputs: tuple[Dataset, ...],
    outputs: tuple[Dataset, ...],
    source_code: SourceCode | None,
    error: str,
) -> str:
    """The event as one line of JSON; raises ValueError when `state` is no OpenLineage event type or an id is no UUID."""
    event = RunEvent(
        eventType=EventType(state),
        eventTime=at.astimezone(UTC).isoformat(timespec="microseconds"),
        run=Run(runId=run_id, facets=_run_facets(parent, error)),
        job=Job(namespace=JOBS, name=job, facets=_job_facets(job, parent, source_code)),
        inputs=[
            InputDataset(namespace=each.namespace, name=each.name, facets=dataset_facets(each))
            for each in _once_each(inputs)
        ],
        outputs=[
            OutputDataset(namespace=each.namespace, name=each.name, facets=dataset_facets(each))
            for each in _once_each(outputs)
        ],
        producer=PRODUCER,
    )
    return Serde.to_json(event)


def dataset_facets(dataset: Dataset) -> dict[str, DatasetFacet]:
    """Every facet that the record has something for; the data source is always known by its logical address."""
    facets: dict[str, DatasetFacet] = {
        "dataSource": datasource_dataset.DatasourceDatasetFacet(
            name=dataset.namespace,
            uri=without_credentials(dataset.source_uri) or f"{dataset.namespace}/{dataset.name}",
            producer=PRODUCER,
        ),
        "documentation": documentation_dataset.DocumentationDatasetFacet(
            description=dataset.kind.value.replace("_", " "), producer=PRODUCER
        ),
        NODE_FACET: LifecycleNodeDatasetFacet(kind=dataset.kind.value, facts=dict(dataset.facts), producer=PRODUCER),
    }
    if dataset.columns:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(
            fields=[
                schema_dataset.SchemaDatasetFacetFields(name=column.name, type=column.type)
                for column in dataset.columns
            ],
            producer=PRODUCER,
        )
    if dataset.version:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=dataset.version, producer=PRODUCER
        )
    if dataset.quality is not None:
        facets["dataQualityMetrics"] = _quality(dataset.quality)
    if dataset.column_lineage:
        facets["columnLineage"] = _column_lineage(dataset.column_lineage)
    return facets


def without_credentials(text: str) -> str:
    """The text with the user part of every URL in it taken out."""
    return _CREDENTIALS.sub("", text)


def _once_each(datasets: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """One record per node; what was said last counts."""
    return tuple({dataset.key: dataset for dataset in datasets}.values())


def _quality(quality: Quality) -> DatasetFacet:
    metrics = data_quality_metrics_dataset
    return metrics.DataQualityMetricsDatasetFacet(
        rowCount=quality.rows,
        bytes=quality.bytes,
        columnMetrics={column: metrics.ColumnMetrics(nullCount=count) for column, count in quality.nulls},
        producer=PRODUCER,
    )


def _column_lineage(columns: tuple[ColumnLineage, ...]) -> DatasetFacet:
    facet = column_lineage_dataset
    fields = {
        each.column: facet.Fields(
            inputFields=[
                facet.InputField(
                    namespace=source.namespace,
                    name=source.dataset,
                    field=source.column,
                    transformations=[facet.Transformation(type="DIRECT", subtype=each.transformation)],
                )
                for source in each.sources
            ],
            transformationType=each.transformation,
            transformationDescription="",
        )
        for each in columns
    }
    return facet.ColumnLineageDatasetFacet(fields=fields, producer=PRODUCER)


def _run_facets(parent: tuple[str, str] | None, error: str) -> dict[str, RunFacet]:
    facets: dict[str, RunFacet] = {"processing_engine": _engine()}
    if parent is not None:
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=parent[1]),
            job=parent_run.Job(namespace=JOBS, name=parent[0]),
            producer=PRODUCER,
        )
    if error:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=without_credentials(error), programmingLanguage="PYTHON", producer=PRODUCER
        )
    return facets


def _job_facets(job: str, parent: tuple[str, str] | None, source_code: SourceCode | None) -> dict[str, JobFacet]:
    kind = "STEP" if parent else "FLOW"
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="LIFECYCLE", jobType=kind, producer=PRODUCER
        )
    }
    known = steps.STEPS.get(job.rpartition(".")[2])
    if known is not None:
        facets["documentation"] = documentation_job.DocumentationJobFacet(description=known.title, producer=PRODUCER)
    if source_code is not None:
        repository = without_credentials(source_code.repository)
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            type="git",
            url=_source_url(repository, source_code.commit),
            repoUrl=repository,
            version=source_code.commit,
            producer=PRODUCER,
        )
    return facets


def _source_url(repository: str, commit: str) -> str:
    """An address of the commit with a scheme that every URL parser knows: a consumer may refuse `git://` and plain paths."""
    parts = urlsplit(repository)
    if parts.scheme in ("http", "https", "file"):
        base = repository
    elif parts.scheme and parts.netloc:
        base = f"https://{parts.netloc}{parts.path}"
    elif repository.startswith("/"):
        base = f"file://{repository}"
    else:
        base = f"https://lifecycle.example/{repository}"
    return f"{base.removesuffix('.git')}/commit/{commit}"


@cache
def _engine() -> RunFacet:
    try:
        own = version("lifecycle")
    except PackageNotFoundError:
        own = "0"
    return processing_engine_run.ProcessingEngineRunFacet(
        name="lifecycle", version=own, openlineageAdapterVersion=version("openlineage-python"), producer=PRODUCER
    )
