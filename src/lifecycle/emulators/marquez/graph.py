"""The lineage graph over jobs and datasets, column lineage over dataset fields, and the runs upstream of a run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from lifecycle.emulators.marquez import views
from lifecycle.emulators.marquez.names import ApiError, Key, NodeId, instant, node_id, not_found
from lifecycle.emulators.marquez.store import Dataset, DatasetVersion, FieldSource, Job, Store

Json = dict[str, Any]
FieldKey = tuple[str, str, str]


def lineage(store: Store, at: NodeId, depth: int) -> Json:
    """Every job within `depth` steps of the node, a step leading from one job to another that shares a dataset with it."""
    if at.kind == "job":
        start = store.job(at.key)
        return {"graph": _nodes(store, _reachable(store, start, depth))}
    if at.kind != "dataset":
        raise ApiError(400, f"Node '{at.kind}' has no lineage graph")
    dataset = store.dataset(at.key)
    nearest = _job_at(store, dataset)
    if nearest is None:
        return {"graph": [_dataset_node(dataset, [], [])]}
    return {"graph": _nodes(store, _reachable(store, nearest, depth))}


def _job_at(store: Store, dataset: Dataset) -> Job | None:
    """The job that writes the dataset, else one that reads it."""
    jobs = store.jobs_in(None)
    writing = [job for job in jobs if dataset.key in job.outputs]
    reading = [job for job in jobs if dataset.key in job.inputs]
    return next(iter(writing + reading), None)


def _reachable(store: Store, start: Job, depth: int) -> list[Job]:
    jobs = store.jobs_in(None)
    touching: dict[Key, list[Job]] = defaultdict(list)
    for job in jobs:
        for key in {*job.inputs, *job.outputs}:
            touching[key].append(job)
    found = {start.key: start}
    edge = [start]
    for _ in range(depth):
        edge = [
            job
            for near in edge
            for key in (*near.inputs, *near.outputs)
            for job in touching[key]
            if job.key not in found and found.setdefault(job.key, job) is job
        ]
        if not edge:
            break
    return list(found.values())


def _nodes(store: Store, jobs: list[Job]) -> list[Json]:
    readers: dict[Key, list[Job]] = defaultdict(list)
    writers: dict[Key, list[Job]] = defaultdict(list)
    for job in jobs:
        for key in job.inputs:
            readers[key].append(job)
        for key in job.outputs:
            writers[key].append(job)
    nodes = [_job_node(store, job) for job in jobs]
    for key in {*readers, *writers}:
        dataset = store.datasets[key]
        if not dataset.hidden:
            nodes.append(_dataset_node(dataset, writers[key], readers[key]))
    return sorted(nodes, key=lambda node: str(node["id"]))


def _job_node(store: Store, job: Job) -> Json:
    me = node_id("job", *job.key)
    shown = [key for key in (*job.inputs, *job.outputs) if not store.datasets[key].hidden]
    return {
        "id": me,
        "type": "JOB",
        "data": views.job_node(store, job),
        "inEdges": _edges((node_id("dataset", *key), me) for key in job.inputs if key in shown),
        "outEdges": _edges((me, node_id("dataset", *key)) for key in job.outputs if key in shown),
    }


def _dataset_node(dataset: Dataset, writers: list[Job], readers: list[Job]) -> Json:
    me = node_id("dataset", *dataset.key)
    return {
        "id": me,
        "type": "DATASET",
        "data": views.dataset_node(dataset),
        "inEdges": _edges((node_id("job", *job.key), me) for job in writers),
        "outEdges": _edges((me, node_id("job", *job.key)) for job in readers),
    }


def _edges(pairs: Any) -> list[Json]:
    return [{"origin": origin, "destination": destination} for origin, destination in sorted(set(pairs))]


# --- columns


def column_lineage(store: Store, at: NodeId, depth: int, *, downstream: bool) -> Json:
    """The fields that the node's fields come from, and on request also those made from them."""
    origins = _origins(store, at)
    start = _fields_of(store, at)
    if not start:
        raise ApiError(404, "Could not find node")
    reached = _walk(origins, start, depth)
    if downstream:
        reached |= _walk(_turned(origins), start, depth)
    return {"graph": _field_nodes(store, origins, reached)}


def _fields_of(store: Store, at: NodeId) -> set[FieldKey]:
    if at.kind == "datasetField":
        dataset = store.datasets.get(at.key)
        known = dataset is not None and at.field in _version_of(dataset, at).fields
        return {(*at.key, at.field)} if known else set()
    if at.kind == "dataset":
        found = store.datasets.get(at.key)
        return {(*at.key, name) for name in _version_of(found, at).fields} if found and found.current else set()
    if at.kind == "job":
        job = store.job(at.key)
        return {(*key, name) for key in job.outputs for name in store.datasets[key].fields}
    raise ApiError(400, f"Node '{at.kind}' has no columns")


def _version_of(dataset: Dataset, at: NodeId) -> DatasetVersion:
    wanted = at.version or dataset.current
    if wanted is None or wanted not in dataset.versions:
        raise not_found("Dataset version", str(wanted))
    return dataset.versions[wanted]


def _origins(store: Store, at: NodeId) -> dict[FieldKey, list[FieldSource]]:
    """Where each field of every dataset's current version (or of the version asked for) comes from."""
    found: dict[FieldKey, list[FieldSource]] = {}
    for dataset in store.datasets.values():
        if dataset.hidden or dataset.current is None:
            continue
        version = (
            _version_of(dataset, at) if at.version and dataset.key == at.key else dataset.versions[dataset.current]
        )
        for column, sources in version.column_lineage.items():
            if sources:
                found[(*dataset.key, column)] = list(sources.values())
    return found


def _turned(origins: dict[FieldKey, list[FieldSource]]) -> dict[FieldKey, list[FieldSource]]:
    turned: dict[FieldKey, list[FieldSource]] = defaultdict(list)
    for key, sources in origins.items():
        for each in sources:
            turned[(each.namespace, each.dataset, each.field)].append(
                FieldSource(*key, "", each.description, each.type)
            )
    return turned


def _walk(origins: dict[FieldKey, list[FieldSource]], start: set[FieldKey], depth: int) -> set[FieldKey]:
    reached = set(start)
    edge = set(start)
    for _ in range(depth):
        edge = {(each.namespace, each.dataset, each.field) for key in edge for each in origins.get(key, ())} - reached
        reached |= edge
    return reached


def _field_nodes(store: Store, origins: dict[FieldKey, list[FieldSource]], reached: set[FieldKey]) -> list[Json]:
    """A node for each field that takes part in an edge between reached fields."""
    pairs = [
        (key, each)
        for key in reached
        for each in origins.get(key, ())
        if (each.namespace, each.dataset, each.field) in reached
    ]
    into: dict[FieldKey, list[FieldSource]] = defaultdict(list)
    out_of: dict[FieldKey, list[FieldKey]] = defaultdict(list)
    for key, each in pairs:
        into[key].append(each)
        out_of[(each.namespace, each.dataset, each.field)].append(key)
    return [_field_node(store, key, into[key], out_of[key]) for key in sorted({*into, *out_of})]


def _field_node(store: Store, key: FieldKey, sources: list[FieldSource], made: list[FieldKey]) -> Json:
    me = node_id("datasetField", *key)
    dataset = store.datasets.get(key[:2])
    known = dataset.fields.get(key[2]) if dataset else None
    first = sources[0] if sources else None
    return {
        "id": me,
        "type": "DATASET_FIELD",
        "data": {
            "namespace": key[0],
            "dataset": key[1],
            "datasetVersion": dataset.current if dataset else None,
            "field": key[2],
            "fieldType": (known.type if known else None) if sources else "",
            "transformationDescription": first.description if first else None,
            "transformationType": first.type if first else None,
            "inputFields": [
                {
                    "namespace": each.namespace,
                    "dataset": each.dataset,
                    "datasetVersion": each.version,
                    "field": each.field,
                    "transformationDescription": each.description,
                    "transformationType": each.type,
                }
                for each in sources
            ],
        },
        # column lineage edges point from the field asked about to the one it is connected with
        "inEdges": _edges((me, node_id("datasetField", s.namespace, s.dataset, s.field)) for s in sources),
        "outEdges": _edges((me, node_id("datasetField", *other)) for other in made),
    }


# --- runs


def upstream_runs(store: Store, run_id: str, depth: int) -> Json:
    """The run, the runs that wrote what it read, and so on back."""
    listed: list[Json] = []
    seen: set[str] = set()
    edge = [store.run(run_id).id]
    for _ in range(depth + 1):
        following: list[str] = []
        for id_ in edge:
            if id_ in seen:
                continue
            seen.add(id_)
            run = store.runs[id_]
            inputs = []
            for key, version in run.inputs.items():
                writer = store.datasets[key].versions[version].run_id
                inputs.append({**views.dataset_id(key), "version": version, "producedByRunId": writer})
                if writer is not None and writer in store.runs:
                    following.append(writer)
            listed.append(
                {
                    "job": {**views.dataset_id(run.job), "version": run.job_version},
                    "run": {
                        "id": run.id,
                        "start": instant(run.started_at) if run.started_at else None,
                        "end": instant(run.ended_at) if run.ended_at else None,
                        "status": run.state,
                    },
                    "inputs": inputs,
                }
            )
        edge = following
    return {"runs": listed}
