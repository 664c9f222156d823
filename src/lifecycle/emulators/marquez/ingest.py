"""How OpenLineage events change what Marquez knows.

The rules, after https://openlineage.io/docs/spec/run-cycle and Marquez' documented model
(https://marquezproject.ai/docs/): START and RUNNING make a run RUNNING, COMPLETE, FAIL and ABORT end it; a written dataset gets one
version per run, current once the run completes; a read dataset keeps the version it has; the job's version and with it the edges of
the graph follow from everything the run read and wrote, once it is over. Taking the same event twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lifecycle.emulators.marquez.names import Key, named_uuid, now, parse_instant, run_uuid
from lifecycle.emulators.marquez.store import (
    DEFAULT_SOURCE,
    DONE,
    Dataset,
    DatasetVersion,
    Facets,
    Field,
    FieldSource,
    Job,
    JobVersion,
    Logged,
    Run,
    Source,
    Store,
)
from lifecycle.emulators.marquez.validation import DATASET_EVENT, JOB_EVENT, Json, check

_STATE_OF = {"COMPLETE": "COMPLETED", "FAIL": "FAILED", "ABORT": "ABORTED"}


def take(store: Store, event: object) -> None:
    """Take one event into the store.

    Raises:
        ApiError, ConstraintError: it is no valid event; nothing was changed.
    """
    kind = check(event)
    assert isinstance(event, dict)
    at = parse_instant(event["eventTime"])
    if kind == DATASET_EVENT:
        dataset, version = _written(store, event["dataset"], at, None)
        dataset.current = version.version
    elif kind == JOB_EVENT:
        _take_job(store, event, at)
    else:
        _take_run(store, event, at)
    store.events.append(Logged(at, now(), kind, event))


# --- run events


def _take_run(store: Store, event: Json, at: datetime) -> None:
    job, run = _job_and_run(store, event, at)
    for facets, told in ((run.facets, event["run"].get("facets")), (run.job_facets, event["job"].get("facets"))):
        facets.update(told or {})
    _move(run, event.get("eventType"), at)
    inputs, outputs = event.get("inputs") or [], event.get("outputs") or []
    for told in inputs:
        _note_input(store, run, told, at)
    for told in outputs:
        _note_output(store, run, told, at)
    streaming = job.type == "STREAM"
    # until a run says what it reads and writes, the job has no edges on that side
    if not inputs and not streaming:
        job.inputs = []
    if not outputs and not streaming:
        job.outputs = []
    if run.state in DONE or streaming:
        put_job_version(job, sorted(run.inputs), sorted(run.outputs), at, run)
    if run.state == "COMPLETED":
        settle_outputs(store, run, at)


def _job_and_run(store: Store, event: Json, at: datetime) -> tuple[Job, Run]:
    facets = event["run"].get("facets") or {}
    parent = _parent_job(store, event, facets.get("parent") or facets.get("parentRun"), at)
    job = _put_job(store, event["job"], parent, at)
    id_ = run_uuid(event["run"]["runId"])
    run = store.runs.get(id_)
    if run is None:
        run = store.runs[id_] = Run(id_, job.key, at, at)
    elif run.job != job.key:
        # a child told of this run as its parent before its own events came
        store.jobs[run.job].runs.remove(id_)
        run.job = job.key
    if id_ not in job.runs:
        job.runs.append(id_)
    run.updated_at = max(run.updated_at, at)
    _nominal(run, facets.get("nominalTime"))
    _arguments(run, facets)
    return job, run


def _parent_job(store: Store, event: Json, told: Json | None, at: datetime) -> Job | None:
    """The parent's job; parent job and run are made when nothing was heard of them yet."""
    if told is None:
        return None
    name = told["job"]["name"]
    if name == event["job"]["name"]:
        name = name.rpartition(".")[0] or name
    id_ = run_uuid(told["run"]["runId"])
    known = store.runs.get(id_)
    if known is not None and known.job[1] == name:
        return store.jobs[known.job]
    namespace = event["job"]["namespace"]
    store.put_namespace(namespace, at)
    key = (namespace, name)
    job = store.jobs.get(key)
    if job is None:
        job = store.jobs[key] = Job(namespace, name, name, "BATCH", at, at)
    if known is None:
        run = store.runs[id_] = Run(id_, key, at, at)
        _move(run, event.get("eventType"), at)
        job.runs.append(id_)
    return job


def _put_job(store: Store, told: Json, parent: Job | None, at: datetime) -> Job:
    namespace, name = told["namespace"], told["name"]
    store.put_namespace(namespace, at)
    simple = name
    if parent is not None:
        simple = name.removeprefix(f"{parent.name}.")
        name = f"{parent.name}.{simple}"
    facets: Facets = told.get("facets") or {}
    key = (namespace, name)
    job = store.jobs.get(key)
    if job is None:
        job = store.jobs[key] = Job(namespace, name, simple, "BATCH", at, at)
    job.hidden = False
    job.parent = parent.name if parent is not None else job.parent
    job.updated_at = max(job.updated_at, at)
    job.type = "STREAM" if str((facets.get("jobType") or {}).get("processingType")).upper() == "STREAMING" else "BATCH"
    job.description = (facets.get("documentation") or {}).get("description") or job.description
    job.location = (facets.get("sourceCodeLocation") or {}).get("url") or job.location
    job.facets.update(facets)
    return job


def _move(run: Run, event_type: str | None, at: datetime) -> None:
    if event_type is not None:
        transition(run, _STATE_OF.get(event_type.upper(), "RUNNING"), at)


def transition(run: Run, state: str, at: datetime) -> None:
    """Bring the run into the state as of `at`; a late START tells when it began but wakes no ended run."""
    if state == "RUNNING":
        run.started_at = at if run.started_at is None else min(run.started_at, at)
        if run.state in DONE:
            return
    else:
        run.ended_at = at
    run.state = state
    run.transitioned_at = at
    run.updated_at = max(run.updated_at, at)


def _nominal(run: Run, told: Json | None) -> None:
    if told is None:
        return
    run.nominal_start = parse_instant(told["nominalStartTime"])
    if told.get("nominalEndTime"):
        run.nominal_end = parse_instant(told["nominalEndTime"])


def _arguments(run: Run, facets: Facets) -> None:
    """What Marquez derives as arguments of the run from its facets."""
    nominal = facets.get("nominalTime") or {}
    parent = facets.get("parent") or facets.get("parentRun")
    if nominal.get("nominalStartTime"):
        run.args["nominal_start_time"] = nominal["nominalStartTime"]
    if nominal.get("nominalEndTime"):
        run.args["nominal_end_time"] = nominal["nominalEndTime"]
    if parent:
        run.args |= {
            "run_id": parent["run"]["runId"],
            "name": parent["job"]["name"],
            "namespace": parent["job"]["namespace"],
        }


# --- datasets


def _note_input(store: Store, run: Run, told: Json, at: datetime) -> None:
    dataset, version = _read(store, told, at)
    run.inputs[dataset.key] = version.version
    if told.get("inputFacets"):
        run.input_facets.setdefault(dataset.key, {}).update(told["inputFacets"])


def _note_output(store: Store, run: Run, told: Json, at: datetime) -> None:
    dataset, version = _written(store, told, at, run)
    run.outputs[dataset.key] = version.version
    if told.get("outputFacets"):
        run.output_facets.setdefault(dataset.key, {}).update(told["outputFacets"])


def _read(store: Store, told: Json, at: datetime) -> tuple[Dataset, DatasetVersion]:
    dataset = _put_dataset(store, told, at)
    if dataset.current is None:
        version = _put_version(dataset, told, at, None)
        dataset.current = version.version
    version = dataset.versions[dataset.current]
    _note_facets(version, told, ("facets", "inputFacets"))
    return dataset, version


def _written(store: Store, told: Json, at: datetime, run: Run | None) -> tuple[Dataset, DatasetVersion]:
    dataset = _put_dataset(store, told, at)
    version = _put_version(dataset, told, at, run.id if run else None)
    _note_facets(version, told, ("facets",))
    _note_column_lineage(store, version, told, run)
    return dataset, version


def _put_dataset(store: Store, told: Json, at: datetime) -> Dataset:
    key: Key = (told["namespace"], told["name"])
    store.put_namespace(key[0], at)
    facets: Facets = told.get("facets") or {}
    source = _put_source(store, facets.get("dataSource"), at)
    dataset = store.datasets.get(key)
    if dataset is None:
        dataset = store.datasets[key] = Dataset(*key, "DB_TABLE", key[1], at, at, source)
    dataset.hidden = False
    dataset.updated_at = max(dataset.updated_at, at)
    dataset.source = source if facets.get("dataSource") else dataset.source
    dataset.description = (facets.get("documentation") or {}).get("description") or dataset.description
    dataset.dropped = _lifecycle(facets).upper() == "DROP"
    for column in (facets.get("schema") or {}).get("fields") or ():
        known = dataset.fields.setdefault(column["name"], Field(column["name"]))
        known.type = column.get("type") or known.type
        known.description = column.get("description") or known.description
    return dataset


def _lifecycle(facets: Facets) -> str:
    return str((facets.get("lifecycleStateChange") or {}).get("lifecycleStateChange") or "")


def _put_source(store: Store, told: Json | None, at: datetime) -> str:
    name = (told or {}).get("name") or DEFAULT_SOURCE
    source = store.sources.setdefault(name, Source(name, "POSTGRESQL", at, at))
    source.updated_at = max(source.updated_at, at)
    if told and told.get("uri"):
        source.connection_url = told["uri"]
    return str(name)


def _put_version(dataset: Dataset, told: Json, at: datetime, run_id: str | None) -> DatasetVersion:
    facets: Facets = told.get("facets") or {}
    columns = (facets.get("schema") or {}).get("fields") or []
    told_fields = sorted(f"{each['name']}:{str(each.get('type')).upper()}" for each in columns)
    state = _lifecycle(facets)
    id_ = named_uuid(dataset.namespace, dataset.source, dataset.name, ",".join(told_fields), state, run_id)
    return dataset.versions.setdefault(
        id_,
        DatasetVersion(
            id_,
            at,
            {each["name"]: dataset.fields[each["name"]] for each in columns},
            run_id,
            state,
            dataset.description,
        ),
    )


def _note_facets(version: DatasetVersion, told: Json, sides: tuple[str, ...]) -> None:
    for side in sides:
        version.facets.update(told.get(side) or {})


def _note_column_lineage(store: Store, version: DatasetVersion, told: Json, run: Run | None) -> None:
    """Field to field, as far as output field and input field are known: the input must be one of the run's inputs."""
    facet = (told.get("facets") or {}).get("columnLineage") or {}
    for column, origin in (facet.get("fields") or {}).items():
        if column not in version.fields or run is None:
            continue
        sources = version.column_lineage.setdefault(column, {})
        for each in origin["inputFields"]:
            key = (each["namespace"], each["name"])
            read = run.inputs.get(key)
            if read is None or each["field"] not in store.datasets[key].versions[read].fields:
                continue
            sources[(*key, each["field"])] = FieldSource(
                *key, each["field"], read, origin.get("transformationDescription"), origin.get("transformationType")
            )


def settle_outputs(store: Store, run: Run, at: datetime) -> None:
    """The versions a completed run wrote become the current ones."""
    for key, version in run.outputs.items():
        dataset = store.datasets[key]
        newer = dataset.last_modified_at is not None and dataset.last_modified_at > at
        if not newer:
            dataset.current = version
            dataset.last_modified_at = at


# --- jobs


def put_job_version(job: Job, inputs: list[Key], outputs: list[Key], at: datetime, run: Run | None) -> JobVersion:
    """The job's version with these inputs and outputs, made current; its edges are the graph's."""
    id_ = named_uuid(job.namespace, job.name, inputs, outputs, job.location)
    version = job.versions.setdefault(id_, JobVersion(id_, at, inputs, outputs, job.location))
    job.current = id_
    job.inputs, job.outputs = list(inputs), list(outputs)
    if run is not None:
        run.job_version = id_
        version.latest_run = run.id
    return version


def _take_job(store: Store, event: Json, at: datetime) -> None:
    job = _put_job(store, event["job"], None, at)
    inputs = [_read(store, told, at)[0].key for told in event.get("inputs") or ()]
    outputs: list[Key] = []
    for told in event.get("outputs") or ():
        dataset, version = _written(store, told, at, None)
        dataset.current = dataset.current or version.version
        outputs.append(dataset.key)
    put_job_version(job, sorted(inputs), sorted(outputs), at, None)


def dataset_meta(store: Store, key: Key, told: dict[str, Any], at: datetime) -> Dataset:
    """A dataset put by hand (`PUT /namespaces/{namespace}/datasets/{dataset}`), with a version of what it said."""
    facets: Facets = {"schema": {"fields": told.get("fields") or []}}
    if told.get("description"):
        facets["documentation"] = {"description": told["description"]}
    run = store.runs[told["runId"]] if told.get("runId") else None
    dataset, version = _written(store, {"namespace": key[0], "name": key[1], "facets": facets}, at, run)
    version.facets = {}
    dataset.type = told["type"]
    dataset.physical_name = told["physicalName"]
    dataset.source = told["sourceName"]
    dataset.tags |= set(told.get("tags") or ())
    for column in told.get("fields") or ():
        dataset.fields[column["name"]].tags |= set(column.get("tags") or ())
    dataset.current = version.version
    if run is not None:
        run.outputs[key] = version.version
    return dataset
