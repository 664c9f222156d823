"""The endpoints below /api/v1 for namespaces, sources, tags, datasets, jobs and runs, and the table of all paths."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from types import MappingProxyType

from lifecycle.emulators.marquez import lineage, views
from lifecycle.emulators.marquez.calls import Answer, Call
from lifecycle.emulators.marquez.ingest import dataset_meta, put_job_version, settle_outputs, transition
from lifecycle.emulators.marquez.names import (
    ApiError,
    Key,
    check_namespace,
    not_found,
    now,
    parse_instant,
)
from lifecycle.emulators.marquez.store import DONE, STATES, Dataset, Field, Job, Run, Source

# --- namespaces, sources, tags


def put_namespace(call: Call) -> Answer:
    told = call.object("ownerName")
    found = call.store.put_namespace(call.namespace)
    found.owner = told["ownerName"]
    found.description = told.get("description", found.description)
    return Answer(views.namespace(found))


def get_namespace(call: Call) -> Answer:
    return Answer(views.namespace(call.store.namespace(call.namespace)))


def list_namespaces(call: Call) -> Answer:
    found = sorted((each for each in call.store.namespaces.values() if not each.hidden), key=lambda each: each.name)
    return Answer({"namespaces": [views.namespace(each) for each in call.page(found)]})


def delete_namespace(call: Call) -> Answer:
    """Hide it with everything in it; an event that names it shows it again."""
    found = call.store.namespace(call.namespace)
    for dataset in call.store.datasets_in(found.name):
        dataset.hidden = True
    for job in call.store.jobs_in(found.name):
        job.hidden = True
    told = views.namespace(found)
    found.hidden = True
    return Answer(told)


def put_source(call: Call) -> Answer:
    told = call.object("type", "connectionUrl")
    name = call.parameters["source"]
    found = call.store.sources.setdefault(name, Source(name, told["type"], now(), now()))
    found.type, found.connection_url, found.updated_at = told["type"], told["connectionUrl"], now()
    found.description = told.get("description", found.description)
    return Answer(views.source(found))


def get_source(call: Call) -> Answer:
    return Answer(views.source(call.store.source(call.parameters["source"])))


def list_sources(call: Call) -> Answer:
    found = sorted(call.store.sources.values(), key=lambda each: each.name)
    return Answer({"sources": [views.source(each) for each in call.page(found)]})


def put_tag(call: Call) -> Answer:
    told = call.object() if call.body is not None else {}
    return Answer(views.tag(call.store.put_tag(call.parameters["tag"], told.get("description"))))


def list_tags(call: Call) -> Answer:
    found = sorted(call.store.tags.values(), key=lambda each: each.name)
    return Answer({"tags": [views.tag(each) for each in call.page(found)]})


# --- datasets


def put_dataset(call: Call) -> Answer:
    key = call.key("dataset")
    told = call.object("type", "physicalName", "sourceName")
    if told["type"] not in ("DB_TABLE", "STREAM"):
        raise ApiError(400, "Unable to process JSON")
    if told.get("runId"):
        call.store.run(told["runId"])
    call.store.source(told["sourceName"])
    return Answer(views.dataset(dataset_meta(call.store, key, told, now())))


def get_dataset(call: Call) -> Answer:
    return Answer(views.dataset(_dataset(call)))


def list_datasets(call: Call) -> Answer:
    call.store.namespace(call.namespace)
    found = call.store.datasets_in(call.namespace)
    return Answer({"datasets": [views.dataset(each) for each in call.page(found)], "totalCount": len(found)})


def delete_dataset(call: Call) -> Answer:
    found = _dataset(call)
    told = views.dataset(found)
    found.hidden = True
    return Answer(told)


def list_dataset_versions(call: Call) -> Answer:
    found = _dataset(call)
    versions = sorted(found.versions.values(), key=lambda each: each.created_at, reverse=True)
    told = [views.dataset_version(call.store, found, each) for each in call.page(versions)]
    return Answer({"versions": told, "totalCount": len(versions)})


def get_dataset_version(call: Call) -> Answer:
    found = _dataset(call)
    version = found.versions.get(call.parameters["version"])
    if version is None:
        raise not_found("Dataset version", call.parameters["version"])
    return Answer(views.dataset_version(call.store, found, version))


def tag_dataset(call: Call) -> Answer:
    found = _dataset(call)
    call.store.put_tag(call.parameters["tag"])
    found.tags.add(call.parameters["tag"])
    return Answer(views.dataset(found))


def untag_dataset(call: Call) -> Answer:
    found = _dataset(call)
    found.tags.discard(call.parameters["tag"])
    return Answer(views.dataset(found))


def tag_field(call: Call) -> Answer:
    found, column = _field(call)
    tag = call.parameters["tag"].upper()
    call.store.put_tag(tag)
    column.tags.add(tag)
    return Answer(views.dataset(found))


def untag_field(call: Call) -> Answer:
    found, column = _field(call)
    column.tags.discard(call.parameters["tag"].upper())
    return Answer(views.dataset(found))


def _dataset(call: Call) -> Dataset:
    return call.store.dataset(call.key("dataset"))


def _field(call: Call) -> tuple[Dataset, Field]:
    found = _dataset(call)
    name = call.parameters["field"]
    if name not in found.fields:
        raise ApiError(404, f"Field '{name}' not found for dataset '{found.name}'.")
    return found, found.fields[name]


# --- jobs


def put_job(call: Call) -> Answer:
    key = call.key("job")
    told = call.object("type")
    sides: list[list[Key]] = []
    for side in ("inputs", "outputs"):
        named = [(each["namespace"], each["name"]) for each in told.get(side) or ()]
        for dataset in named:
            call.store.dataset(dataset)
        sides.append(sorted(set(named)))
    at = now()
    found = call.store.jobs.setdefault(key, Job(*key, key[1], told["type"], at, at))
    found.hidden, found.type, found.updated_at = False, told["type"], at
    found.location = told.get("location", found.location)
    found.description = told.get("description", found.description)
    run = call.store.run(told["runId"]) if told.get("runId") else None
    put_job_version(found, sides[0], sides[1], at, run)
    return Answer(views.job(call.store, found))


def get_job(call: Call) -> Answer:
    return Answer(views.job(call.store, _job(call)))


def list_jobs(call: Call) -> Answer:
    namespace = check_namespace(call.parameters["namespace"]) if "namespace" in call.parameters else None
    found = call.store.jobs_in(namespace)
    wanted = call.query.getlist("lastRunStates")
    if any(state not in STATES for state in wanted):
        raise ApiError(400, "query param lastRunStates must be one of " + str(list(STATES)))
    shown = [job for job in found if not wanted or _state_of(call, job) in wanted]
    return Answer({"jobs": [views.job(call.store, job) for job in call.page(shown)], "totalCount": len(found)})


def delete_job(call: Call) -> Answer:
    found = _job(call)
    told = views.job(call.store, found)
    found.hidden = True
    return Answer(told)


def list_job_versions(call: Call) -> Answer:
    found = _job(call)
    versions = sorted(found.versions.values(), key=lambda each: each.created_at, reverse=True)
    return Answer({"versions": [views.job_version(call.store, found, each) for each in call.page(versions)]})


def get_job_version(call: Call) -> Answer:
    found = _job(call)
    version = found.versions.get(call.parameters["version"])
    if version is None:
        raise not_found("Job version", call.parameters["version"])
    return Answer(views.job_version(call.store, found, version))


def tag_job(call: Call) -> Answer:
    found = _job(call)
    call.store.put_tag(call.parameters["tag"])
    found.tags.add(call.parameters["tag"])
    return Answer(views.job(call.store, found))


def untag_job(call: Call) -> Answer:
    found = _job(call)
    found.tags.discard(call.parameters["tag"])
    return Answer(views.job(call.store, found))


def _job(call: Call) -> Job:
    return call.store.job(call.key("job"))


def _state_of(call: Call, job: Job) -> str:
    latest = call.store.latest_run(job)
    return latest.state if latest else "NEW"


# --- runs


def create_run(call: Call) -> Answer:
    job = _job(call)
    told = call.object() if call.body is not None else {}
    id_ = told.get("id") or str(uuid.uuid4())
    try:
        id_ = str(uuid.UUID(id_))
    except ValueError as error:
        raise ApiError(400, "Unable to process JSON") from error
    if id_ in call.store.runs:
        raise ApiError(400, f"Run '{id_}' already exists for '{job.name}' under namespace '{job.namespace}'.")
    at = now()
    run = call.store.runs[id_] = Run(id_, job.key, at, at, args=dict(told.get("args") or {}))
    run.nominal_start = parse_instant(told["nominalStartTime"]) if told.get("nominalStartTime") else None
    run.nominal_end = parse_instant(told["nominalEndTime"]) if told.get("nominalEndTime") else None
    job.runs.append(id_)
    return Answer(views.run(run), 201, {"Location": f"/api/v1/jobs/runs/{id_}"})


def list_runs(call: Call) -> Answer:
    runs = call.store.runs_of(_job(call))
    return Answer({"runs": [views.run(each) for each in call.page(runs)], "totalCount": len(runs)})


def get_run(call: Call) -> Answer:
    return Answer(views.run(_run(call)))


def run_facets(call: Call) -> Answer:
    run = _run(call)
    kind = call.required("type").lower()
    if kind not in ("job", "run", "dataset"):
        raise ApiError(404, "HTTP 404 Not Found")
    facets = {"job": run.job_facets, "run": run.facets, "dataset": {}}[kind]
    return Answer({"runId": run.id, "facets": facets})


def moving(state: str) -> Callable[[Call], Answer]:
    """The endpoint that brings a run into the state."""

    def move(call: Call) -> Answer:
        run = _run(call)
        try:
            at = parse_instant(call.query["at"]) if call.query.get("at") else now()
        except ValueError as error:
            raise ApiError(400, f"Text '{call.query['at']}' could not be parsed") from error
        transition(run, state, at)
        if state in DONE:
            put_job_version(call.store.jobs[run.job], *_sides(call, run), at, run)
        if state == "COMPLETED":
            settle_outputs(call.store, run, at)
        return Answer(views.run(run))

    return move


def _sides(call: Call, run: Run) -> tuple[list[Key], list[Key]]:
    """What the run is known to have read and written, or what its job was said to."""
    job = call.store.jobs[run.job]
    return sorted(run.inputs) or job.inputs, sorted(run.outputs) or job.outputs


def _run(call: Call) -> Run:
    return call.store.run(call.parameters["run"])


_NAMESPACE = "namespaces/{namespace}"
_DATASET = f"{_NAMESPACE}/datasets/{{dataset}}"
_JOB = f"{_NAMESPACE}/jobs/{{job}}"
_RUN = "jobs/runs/{run}"

ROUTES = MappingProxyType(
    {
        ("GET", "namespaces"): list_namespaces,
        ("PUT", _NAMESPACE): put_namespace,
        ("GET", _NAMESPACE): get_namespace,
        ("DELETE", _NAMESPACE): delete_namespace,
        ("GET", "sources"): list_sources,
        ("PUT", "sources/{source}"): put_source,
        ("GET", "sources/{source}"): get_source,
        ("GET", "tags"): list_tags,
        ("PUT", "tags/{tag}"): put_tag,
        ("GET", f"{_NAMESPACE}/datasets"): list_datasets,
        ("PUT", _DATASET): put_dataset,
        ("GET", _DATASET): get_dataset,
        ("DELETE", _DATASET): delete_dataset,
        ("GET", f"{_DATASET}/versions"): list_dataset_versions,
        ("GET", f"{_DATASET}/versions/{{version}}"): get_dataset_version,
        ("POST", f"{_DATASET}/tags/{{tag}}"): tag_dataset,
        ("DELETE", f"{_DATASET}/tags/{{tag}}"): untag_dataset,
        ("POST", f"{_DATASET}/fields/{{field}}/tags/{{tag}}"): tag_field,
        ("DELETE", f"{_DATASET}/fields/{{field}}/tags/{{tag}}"): untag_field,
        ("GET", "jobs"): list_jobs,
        ("GET", f"{_NAMESPACE}/jobs"): list_jobs,
        ("PUT", _JOB): put_job,
        ("GET", _JOB): get_job,
        ("DELETE", _JOB): delete_job,
        ("GET", f"{_JOB}/versions"): list_job_versions,
        ("GET", f"{_JOB}/versions/{{version}}"): get_job_version,
        ("POST", f"{_JOB}/tags/{{tag}}"): tag_job,
        ("DELETE", f"{_JOB}/tags/{{tag}}"): untag_job,
        ("POST", f"{_JOB}/runs"): create_run,
        ("GET", f"{_JOB}/runs"): list_runs,
        ("GET", _RUN): get_run,
        ("GET", f"{_RUN}/facets"): run_facets,
        ("POST", f"{_RUN}/start"): moving("RUNNING"),
        ("POST", f"{_RUN}/complete"): moving("COMPLETED"),
        ("POST", f"{_RUN}/fail"): moving("FAILED"),
        ("POST", f"{_RUN}/abort"): moving("ABORTED"),
        ("POST", "lineage"): lineage.post_lineage,
        ("GET", "lineage"): lineage.get_lineage,
        ("GET", "column-lineage"): lineage.get_column_lineage,
        ("GET", "runlineage/upstream"): lineage.get_upstream_runs,
        ("GET", "events/lineage"): lineage.list_events,
        ("GET", "search"): lineage.search,
        ("GET", "stats/lineage-events"): lineage.event_statistics,
        ("GET", "stats/jobs"): lineage.counting("jobs"),
        ("GET", "stats/datasets"): lineage.counting("datasets"),
        ("GET", "stats/sources"): lineage.counting("sources"),
    }
)
