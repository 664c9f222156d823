"""The lineage graph as it was read back: runs with what they read and wrote, datasets with their facets.

Plain values, so that a run's graph can be kept as evidence and read again without any service.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]

JOBS = "lifecycle"  # the namespace of this project's jobs
NODE_FACET = "lifecycle_node"  # the custom dataset facet with a node's kind and facts


@dataclass(frozen=True)
class GraphRun:
    """One job run. `started_at` and `ended_at` are ISO 8601, empty when no such event came; `commit` is that of its source code."""

    job: str
    id: str
    state: str
    parent_run_id: str = ""
    started_at: str = ""
    ended_at: str = ""
    inputs: tuple[Key, ...] = ()
    outputs: tuple[Key, ...] = ()
    facets: tuple[str, ...] = ()
    commit: str = ""
    error: str = ""

    @property
    def step(self) -> str:
        """The last part of `<flow>.<step>`."""
        return self.job.rpartition(".")[2]


@dataclass(frozen=True)
class GraphDataset:
    """One dataset with its current version's facets by name; `facts` come from the project's own facet."""

    namespace: str
    name: str
    kind: str = ""
    version: str = ""
    source_uri: str = ""
    facets: tuple[str, ...] = ()
    rows: int | None = None
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    def fact(self, name: str) -> str:
        """A fact by its name, empty when the node carries none of that name."""
        return dict(self.facts).get(name, "")


@dataclass(frozen=True)
class LineageSnapshot:
    """The graph of one story at one moment."""

    runs: tuple[GraphRun, ...] = ()
    datasets: tuple[GraphDataset, ...] = ()

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(from, to) between node names: `<job>` and `<namespace>/<name>`."""
        found: dict[tuple[str, str], None] = {}
        for run in self.runs:
            for key in run.inputs:
                found[(node_name(key), run.job)] = None
            for key in run.outputs:
                found[(run.job, node_name(key))] = None
        return tuple(found)

    def dataset(self, key: Key) -> GraphDataset | None:
        return next((each for each in self.datasets if each.key == key), None)

    def of_kind(self, kind: str) -> tuple[GraphDataset, ...]:
        return tuple(each for each in self.datasets if each.kind == kind)

    def downstream(self, key: Key) -> frozenset[Key]:
        """Every dataset made, directly or not, from this one: what a change of it reaches."""
        return self._reach(key, [(run.inputs, run.outputs) for run in self.runs])

    def upstream(self, key: Key) -> frozenset[Key]:
        """Every dataset that this one was made from, directly or not."""
        return self._reach(key, [(run.outputs, run.inputs) for run in self.runs])

    @staticmethod
    def _reach(start: Key, hops: list[tuple[tuple[Key, ...], tuple[Key, ...]]]) -> frozenset[Key]:
        found: set[Key] = set()
        edge = {start}
        while edge:
            edge = {there for here, theres in hops if edge & set(here) for there in theres} - found - {start}
            found |= edge
        return frozenset(found)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the edges included for those who only draw."""
        return {
            "runs": [dataclasses.asdict(run) for run in self.runs],
            "datasets": [dataclasses.asdict(dataset) for dataset in self.datasets],
            "edges": [list(edge) for edge in self.edges],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LineageSnapshot:
        """The inverse of `to_dict`; raises KeyError or TypeError when it is none of its."""
        return cls(
            tuple(
                GraphRun(
                    **{
                        **run,
                        "inputs": _keys(run["inputs"]),
                        "outputs": _keys(run["outputs"]),
                        "facets": tuple(run["facets"]),
                    }
                )
                for run in data["runs"]
            ),
            tuple(
                GraphDataset(**{**each, "facets": tuple(each["facets"]), "facts": _keys(each["facts"])})
                for each in data["datasets"]
            ),
        )


def node_name(key: Key) -> str:
    """A dataset's node name: `<namespace>/<name>`."""
    return f"{key[0]}/{key[1]}"


def _keys(pairs: list[list[str]]) -> tuple[Key, ...]:
    return tuple((first, second) for first, second in pairs)
