"""What Marquez knows: namespaces, sources, datasets with versions, jobs with versions, runs, tags and the log of events.

Plain records in dictionaries; the rules by which events change them are in `ingest`, how they look as JSON in `views`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lifecycle.emulators.marquez.names import Key, not_found, now

DONE = ("COMPLETED", "FAILED", "ABORTED")
STATES = ("NEW", "RUNNING", *DONE)
DEFAULT_OWNER = "anonymous"
DEFAULT_SOURCE = "default"

Facets = dict[str, Any]


@dataclass
class Namespace:
    name: str
    created_at: datetime
    updated_at: datetime
    owner: str = DEFAULT_OWNER
    description: str | None = None
    hidden: bool = False


@dataclass
class Source:
    name: str
    type: str
    created_at: datetime
    updated_at: datetime
    connection_url: str = ""
    description: str | None = None


@dataclass
class Field:
    name: str
    type: str | None = None
    description: str | None = None
    tags: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class FieldSource:
    """One input field of an output field, as a run's column lineage facet told it."""

    namespace: str
    dataset: str
    field: str
    version: str
    description: str | None
    type: str | None


@dataclass
class DatasetVersion:
    version: str
    created_at: datetime
    fields: dict[str, Field]
    run_id: str | None = None  # the run that wrote it; None when it was first seen as an input
    lifecycle_state: str = ""
    description: str | None = None
    facets: Facets = field(default_factory=dict)
    column_lineage: dict[str, dict[tuple[str, str, str], FieldSource]] = field(default_factory=dict)


@dataclass
class Dataset:
    namespace: str
    name: str
    type: str
    physical_name: str
    created_at: datetime
    updated_at: datetime
    source: str
    description: str | None = None
    tags: set[str] = field(default_factory=set)
    fields: dict[str, Field] = field(default_factory=dict)  # every field ever seen: tags stay on it
    versions: dict[str, DatasetVersion] = field(default_factory=dict)
    current: str | None = None
    last_modified_at: datetime | None = None
    hidden: bool = False
    dropped: bool = False

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    @property
    def current_version(self) -> DatasetVersion | None:
        return self.versions[self.current] if self.current else None


@dataclass
class JobVersion:
    version: str
    created_at: datetime
    inputs: list[Key]
    outputs: list[Key]
    location: str | None
    latest_run: str | None = None


@dataclass
class Job:
    namespace: str
    name: str
    simple_name: str
    type: str
    created_at: datetime
    updated_at: datetime
    parent: str | None = None  # the parent job's name, in the same namespace
    description: str | None = None
    location: str | None = None
    facets: Facets = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)
    versions: dict[str, JobVersion] = field(default_factory=dict)
    current: str | None = None
    inputs: list[Key] = field(default_factory=list)  # of the current version: the edges of the lineage graph
    outputs: list[Key] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    hidden: bool = False

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)


@dataclass
class Run:
    id: str
    job: Key
    created_at: datetime
    updated_at: datetime
    state: str = "NEW"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    transitioned_at: datetime | None = None
    nominal_start: datetime | None = None
    nominal_end: datetime | None = None
    args: dict[str, str] = field(default_factory=dict)
    facets: Facets = field(default_factory=dict)
    job_facets: Facets = field(default_factory=dict)
    job_version: str | None = None
    inputs: dict[Key, str] = field(default_factory=dict)  # dataset -> version read
    outputs: dict[Key, str] = field(default_factory=dict)  # dataset -> version written
    input_facets: dict[Key, Facets] = field(default_factory=dict)
    output_facets: dict[Key, Facets] = field(default_factory=dict)


@dataclass
class Tag:
    name: str
    description: str | None = None


@dataclass(frozen=True)
class Logged:
    """One event as it came, with the time it says and when it was taken."""

    at: datetime
    taken_at: datetime
    kind: str  # RUN_EVENT, JOB_EVENT or DATASET_EVENT
    event: dict[str, Any]


@dataclass
class Store:
    """Everything; lookups raise the API's 404."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    datasets: dict[Key, Dataset] = field(default_factory=dict)
    jobs: dict[Key, Job] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    tags: dict[str, Tag] = field(default_factory=dict)
    events: list[Logged] = field(default_factory=list)

    def namespace(self, name: str) -> Namespace:
        found = self.namespaces.get(name)
        if found is None or found.hidden:
            raise not_found("Namespace", name)
        return found

    def source(self, name: str) -> Source:
        if name not in self.sources:
            raise not_found("Source", name)
        return self.sources[name]

    def dataset(self, key: Key) -> Dataset:
        found = self.datasets.get(key)
        if found is None or found.hidden:
            raise not_found("Dataset", key[1])
        return found

    def job(self, key: Key) -> Job:
        found = self.jobs.get(key)
        if found is None or found.hidden:
            raise not_found("Job", key[1])
        return found

    def run(self, id_: str) -> Run:
        if id_ not in self.runs:
            raise not_found("Run", id_)
        return self.runs[id_]

    def datasets_in(self, namespace: str) -> list[Dataset]:
        return sorted(
            (each for each in self.datasets.values() if each.namespace == namespace and not each.hidden),
            key=lambda each: each.name,
        )

    def jobs_in(self, namespace: str | None) -> list[Job]:
        """Newest first, as Marquez lists them; of every namespace when none is named."""
        found = [
            each
            for each in self.jobs.values()
            if not each.hidden and (namespace is None or each.namespace == namespace)
        ]
        return sorted(found, key=lambda each: (each.updated_at, each.name), reverse=True)

    def runs_of(self, job: Job) -> list[Run]:
        """The latest start first; runs that never started last."""
        runs = [self.runs[id_] for id_ in job.runs]
        return sorted(
            runs, key=lambda run: (run.started_at is not None, run.started_at or run.created_at), reverse=True
        )

    def latest_run(self, job: Job) -> Run | None:
        runs = sorted(
            (self.runs[id_] for id_ in job.runs), key=lambda run: run.transitioned_at or run.created_at, reverse=True
        )
        return runs[0] if runs else None

    def put_namespace(self, name: str, at: datetime | None = None) -> Namespace:
        """The namespace, made when it is new and shown again when it was deleted."""
        at = at or now()
        found = self.namespaces.setdefault(name, Namespace(name, at, at))
        found.hidden = False
        found.updated_at = max(found.updated_at, at)
        return found

    def put_tag(self, name: str, description: str | None = None) -> Tag:
        found = self.tags.setdefault(name, Tag(name, description))
        if description is not None:
            found.description = description
        return found
