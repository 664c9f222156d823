"""The client of Marquez: the lineage graph read back (https://marquezproject.github.io/marquez/openapi.html).

Plain HTTP, since Marquez' own Python client is no longer maintained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from lifecycle.domain.endpoints import MarquezEndpoint
from lifecycle.domain.errors import ServiceError
from lifecycle.domain.lineage_graph import JOBS, NODE_FACET, GraphDataset, GraphRun, Key

PAGE = 100
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class GraphNode:
    """A node of Marquez' lineage graph; `type` is JOB or DATASET."""

    id: str
    type: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Graph:
    """Nodes and (origin, destination) edges by node id."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class JobRecord:
    """A job with the edges of its current version and the state of its latest run (empty when it never ran)."""

    namespace: str
    name: str
    parent: str
    inputs: tuple[Key, ...]
    outputs: tuple[Key, ...]
    latest_state: str


@dataclass(frozen=True)
class ColumnEdge:
    """One field that another one was made from."""

    source: tuple[str, str, str]
    target: tuple[str, str, str]


class Marquez:
    """Reads one Marquez; every method raises ServiceError when it cannot be reached or refuses."""

    def __init__(self, endpoint: MarquezEndpoint) -> None:
        self.endpoint = endpoint
        self._client = httpx.Client(base_url=f"{endpoint.url.rstrip('/')}/api/v1/", timeout=TIMEOUT_S, trust_env=False)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def graph(self, node_id: str, depth: int = 20) -> Graph:
        """The lineage graph around a node such as `dataset:s3://lake:raw/customers`; a step of depth leads from job to job."""
        told = self._get("lineage", nodeId=node_id, depth=str(depth))["graph"]
        nodes = tuple(
            GraphNode(each["id"], each["type"], each["data"]["namespace"], each["data"]["name"]) for each in told
        )
        edges = {
            (edge["origin"], edge["destination"]): None
            for each in told
            for edge in (*each["inEdges"], *each["outEdges"])
        }
        return Graph(nodes, tuple(edges))

    def dataset(self, namespace: str, name: str) -> GraphDataset:
        """One dataset with the facets of its current version."""
        return _dataset(self._get(f"namespaces/{_part(namespace)}/datasets/{_part(name)}"))

    def datasets(self, namespace: str) -> tuple[GraphDataset, ...]:
        """Every dataset of a namespace."""
        return tuple(_dataset(each) for each in self._pages(f"namespaces/{_part(namespace)}/datasets", "datasets"))

    def job(self, namespace: str, name: str) -> JobRecord:
        """One job."""
        return _job(self._get(f"namespaces/{_part(namespace)}/jobs/{_part(name)}"))

    def jobs(self, namespace: str = JOBS) -> tuple[JobRecord, ...]:
        """Every job of a namespace; empty when nothing was heard of the namespace."""
        return tuple(_job(each) for each in self._pages(f"namespaces/{_part(namespace)}/jobs", "jobs"))

    def runs(self, namespace: str, job: str) -> tuple[GraphRun, ...]:
        """Every run of a job, the latest first; none when there is no such job. `commit` is left empty: see `commit_of`."""
        path = f"namespaces/{_part(namespace)}/jobs/{_part(job)}/runs"
        return tuple(_run(each, job) for each in self._pages(path, "runs"))

    def commit_of(self, run_id: str) -> str:
        """The commit that the run's source code facet names, empty when it names none."""
        facets = self._get(f"jobs/runs/{run_id}/facets", type="job")["facets"]
        return str((facets.get("sourceCodeLocation") or {}).get("version") or "")

    def column_lineage(self, node_id: str, depth: int = 20) -> tuple[ColumnEdge, ...]:
        """What the columns of `dataset:<namespace>:<name>` (or one `datasetField:...`) were made from, to the given depth."""
        told = self._get("column-lineage", nodeId=node_id, depth=str(depth))["graph"]
        return tuple(
            ColumnEdge(
                (source["namespace"], source["dataset"], source["field"]),
                (each["data"]["namespace"], each["data"]["dataset"], each["data"]["field"]),
            )
            for each in told
            for source in each["data"]["inputFields"]
        )

    def events(self) -> tuple[dict[str, Any], ...]:
        """Every run event as it was sent, the oldest first."""
        return tuple(self._pages("events/lineage", "events", sortDirection="asc"))

    def _pages(self, path: str, name: str, **query: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            answer = self._request(path, {**query, "limit": str(PAGE), "offset": str(offset)})
            if answer.status_code == 404:
                return
            page = self._json(answer)[name]
            yield from page
            if len(page) < PAGE:
                return
            offset += PAGE

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return self._json(self._request(path, query))

    def _request(self, path: str, query: dict[str, str]) -> httpx.Response:
        try:
            return self._client.get(path, params=query)
        except httpx.TransportError as error:
            raise ServiceError(
                f"Marquez at {self.endpoint.url} does not answer: {error}", fix="look at its log in the run folder"
            ) from error

    def _json(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            raise ServiceError(f"Marquez answered {answer.status_code} to {answer.url}: {answer.text[:300]}")
        told: dict[str, Any] = answer.json()
        return told


def _part(text: str) -> str:
    return quote(text, safe="")


def _dataset(told: dict[str, Any]) -> GraphDataset:
    facets: dict[str, Any] = told.get("facets") or {}
    node = facets.get(NODE_FACET) or {}
    # a column lineage facet counts as far as Marquez could connect its columns with those that were read
    names = {name for name in facets if name != "columnLineage"}
    if told.get("columnLineage"):
        names.add("columnLineage")
    return GraphDataset(
        namespace=told["namespace"],
        name=told["name"],
        kind=node.get("kind", ""),
        version=(facets.get("version") or {}).get("datasetVersion", ""),
        source_uri=(facets.get("dataSource") or {}).get("uri", ""),
        facets=tuple(sorted(names)),
        rows=(facets.get("dataQualityMetrics") or {}).get("rowCount"),
        facts=tuple(sorted((node.get("facts") or {}).items())),
    )


def _job(told: dict[str, Any]) -> JobRecord:
    latest = told.get("latestRun") or {}
    return JobRecord(
        namespace=told["namespace"],
        name=told["name"],
        parent=told.get("parentJobName") or "",
        inputs=tuple((each["namespace"], each["name"]) for each in told["inputs"]),
        outputs=tuple((each["namespace"], each["name"]) for each in told["outputs"]),
        latest_state=latest.get("state", ""),
    )


def _run(told: dict[str, Any], job: str) -> GraphRun:
    facets: dict[str, Any] = told.get("facets") or {}
    parent = facets.get("parent") or facets.get("parentRun") or {}
    return GraphRun(
        job=job,
        id=told["id"],
        state=told["state"],
        parent_run_id=(parent.get("run") or {}).get("runId", ""),
        started_at=told.get("startedAt") or "",
        ended_at=told.get("endedAt") or "",
        inputs=_keys(told.get("inputDatasetVersions")),
        outputs=_keys(told.get("outputDatasetVersions")),
        facets=tuple(sorted(facets)),
        error=(facets.get("errorMessage") or {}).get("message", ""),
    )


def _keys(versions: list[dict[str, Any]] | None) -> tuple[Key, ...]:
    ids = [each["datasetVersionId"] for each in versions or ()]
    return tuple((each["namespace"], each["name"]) for each in ids)
