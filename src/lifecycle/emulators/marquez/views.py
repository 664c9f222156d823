"""The store's records as Marquez' JSON; what is null is null, as in its published examples."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lifecycle.emulators.marquez.names import Key, instant
from lifecycle.emulators.marquez.store import (
    Dataset,
    DatasetVersion,
    Field,
    Job,
    JobVersion,
    Namespace,
    Run,
    Source,
    Store,
    Tag,
)

Json = dict[str, Any]
LATEST_RUNS = 10


def _instant(at: datetime | None) -> str | None:
    return instant(at) if at is not None else None


def dataset_id(key: Key) -> Json:
    return {"namespace": key[0], "name": key[1]}


def namespace(each: Namespace) -> Json:
    return {
        "name": each.name,
        "createdAt": instant(each.created_at),
        "updatedAt": instant(each.updated_at),
        "ownerName": each.owner,
        "description": each.description,
        "isHidden": each.hidden,
    }


def source(each: Source) -> Json:
    return {
        "type": each.type,
        "name": each.name,
        "createdAt": instant(each.created_at),
        "updatedAt": instant(each.updated_at),
        "connectionUrl": each.connection_url,
        "description": each.description,
    }


def tag(each: Tag) -> Json:
    return {"name": each.name, "description": each.description}


def _field(each: Field) -> Json:
    return {"name": each.name, "type": each.type, "tags": sorted(each.tags), "description": each.description}


def dataset_node(each: Dataset) -> Json:
    """What a node of the lineage graph holds of a dataset: everything but facets and versions."""
    current = each.current_version
    return {
        "id": dataset_id(each.key),
        "type": each.type,
        "name": each.name,
        "physicalName": each.physical_name,
        "createdAt": instant(each.created_at),
        "updatedAt": instant(each.updated_at),
        "namespace": each.namespace,
        "sourceName": each.source,
        "fields": [_field(column) for column in current.fields.values()] if current else [],
        "tags": sorted(each.tags),
        "lastModifiedAt": _instant(each.last_modified_at),
        "description": each.description,
        "lastLifecycleState": current.lifecycle_state if current else "",
    }


def dataset(each: Dataset) -> Json:
    current = each.current_version
    return {
        **dataset_node(each),
        "currentVersion": each.current,
        "columnLineage": column_lineage(current) if current and current.column_lineage else None,
        "facets": current.facets if current else {},
        "deleted": each.dropped,
    }


def column_lineage(version: DatasetVersion) -> list[Json]:
    told = []
    for column, origins in sorted(version.column_lineage.items()):
        inputs = [
            {
                "namespace": origin.namespace,
                "dataset": origin.dataset,
                "field": origin.field,
                "transformationDescription": origin.description,
                "transformationType": origin.type,
            }
            for origin in origins.values()
        ]
        told.append(
            {
                "name": column,
                "inputFields": inputs,
                "transformationDescription": inputs[0]["transformationDescription"] if inputs else None,
                "transformationType": inputs[0]["transformationType"] if inputs else None,
            }
        )
    return told


def dataset_version(store: Store, owner: Dataset, version: DatasetVersion) -> Json:
    created_by = store.runs.get(version.run_id) if version.run_id else None
    return {
        "id": {**dataset_id(owner.key), "version": version.version},
        "type": owner.type,
        "name": owner.name,
        "physicalName": owner.physical_name,
        "createdAt": instant(version.created_at),
        "version": version.version,
        "namespace": owner.namespace,
        "sourceName": owner.source,
        "fields": [_field(column) for column in version.fields.values()],
        "tags": sorted(owner.tags),
        "lifecycleState": version.lifecycle_state,
        "description": version.description,
        "createdByRun": run(created_by) if created_by else None,
        "facets": version.facets,
    }


def run(each: Run) -> Json:
    duration = None
    if each.started_at is not None and each.ended_at is not None:
        duration = int((each.ended_at - each.started_at).total_seconds() * 1000)
    version = None
    if each.job_version is not None:
        version = {**dataset_id(each.job), "version": each.job_version}
    return {
        "id": each.id,
        "createdAt": instant(each.created_at),
        "updatedAt": instant(each.updated_at),
        "nominalStartTime": _instant(each.nominal_start),
        "nominalEndTime": _instant(each.nominal_end),
        "state": each.state,
        "startedAt": _instant(each.started_at),
        "endedAt": _instant(each.ended_at),
        "durationMs": duration,
        "args": each.args,
        "jobVersion": version,
        "inputDatasetVersions": _versions(each.inputs, each.input_facets),
        "outputDatasetVersions": _versions(each.outputs, each.output_facets),
        "facets": each.facets,
    }


def _versions(versions: dict[Key, str], facets: dict[Key, dict[str, Any]]) -> list[Json]:
    return [
        {"datasetVersionId": {**dataset_id(key), "version": version}, "facets": facets.get(key, {})}
        for key, version in versions.items()
    ]


def job_node(store: Store, each: Job) -> Json:
    """What a node of the lineage graph holds of a job."""
    latest = store.latest_run(each)
    return {
        "id": dataset_id(each.key),
        "type": each.type,
        "name": each.name,
        "simpleName": each.simple_name,
        "parentJobName": each.parent,
        "createdAt": instant(each.created_at),
        "updatedAt": instant(each.updated_at),
        "namespace": each.namespace,
        "inputs": [dataset_id(key) for key in each.inputs],
        "outputs": [dataset_id(key) for key in each.outputs],
        "location": each.location,
        "description": each.description,
        "latestRun": run(latest) if latest else None,
    }


def job(store: Store, each: Job) -> Json:
    return {
        **job_node(store, each),
        "latestRuns": [run(one) for one in store.runs_of(each)[:LATEST_RUNS]],
        "facets": each.facets,
        "currentVersion": each.current,
        "labels": [],
        "tags": sorted(each.tags),
    }


def job_version(store: Store, owner: Job, version: JobVersion) -> Json:
    latest = store.runs.get(version.latest_run) if version.latest_run else None
    return {
        "id": {**dataset_id(owner.key), "version": version.version},
        "name": owner.name,
        "createdAt": instant(version.created_at),
        "version": version.version,
        "namespace": owner.namespace,
        "location": version.location,
        "inputs": [dataset_id(key) for key in version.inputs],
        "outputs": [dataset_id(key) for key in version.outputs],
        "latestRun": run(latest) if latest else None,
    }
