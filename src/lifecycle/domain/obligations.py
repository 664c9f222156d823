"""Lineage completeness: what the graph must hold after a flow ran, and whether it does. Pure decisions.

From the use case and what happened follows the list of obligations: each step's run with its beginning, its end and its parent, each
dataset it had to read or write, the facets each dataset must carry, the commit behind the training, and an unbroken path from the
source table to the prediction log. `check` holds the graph as it was read back against them and names what is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from lifecycle.domain import naming
from lifecycle.domain.lineage import DatasetKind
from lifecycle.domain.lineage_graph import GraphDataset, GraphRun, Key, LineageSnapshot, node_name
from lifecycle.domain.steps import FLOWS, STEPS, Node
from lifecycle.domain.use_case import UseCase

COMPLETED = "COMPLETED"
FAILED = "FAILED"
RUNNING = "RUNNING"


@dataclass(frozen=True)
class Happened:
    """One flow run: the state it must be in, and for each step that must have run the state it must have reached."""

    flow: str
    run_id: str
    state: str
    steps: tuple[tuple[str, str], ...]


def happened(
    flow: str, run_id: str, *, stopped: str = "", skipped: Collection[str] = (), ran: Collection[str] = ()
) -> Happened:
    """What must have happened in a flow that ended.

    A flow stopped by a step must have run everything before that step; one that was not must have run all but the `skipped`. Of a
    flow that has no table in `domain.steps` only `ran` is known.
    """
    table = FLOWS.get(flow)
    if table is None:
        steps = tuple((step, FAILED if step == stopped else COMPLETED) for step in ran)
    elif stopped:
        before = table.before(stopped)
        steps = (*((step, COMPLETED) for step in table.steps if step in before), (stopped, FAILED))
    else:
        steps = tuple((step, COMPLETED) for step in table.steps if step not in skipped)
    return Happened(flow, run_id, FAILED if stopped else COMPLETED, steps)


@dataclass(frozen=True)
class Place:
    """A dataset by kind, namespace and name; a `*` at the end of namespace or name stands for what only the run decides."""

    kind: DatasetKind
    namespace: str
    name: str

    def fits(self, key: Key) -> bool:
        return _fits(self.namespace, key[0]) and _fits(self.name, key[1])

    def __str__(self) -> str:
        return node_name((self.namespace, self.name))


def _fits(pattern: str, text: str) -> bool:
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


class Demand(StrEnum):
    """What an obligation asks for."""

    RUN = "run"  # the job run with its START and its end
    PARENT = "parent"  # the run knows the flow run it belongs to
    ERROR = "error"  # a failed run says why
    COMMIT = "commit"  # the run names the commit of its code
    READS = "reads"
    WRITES = "writes"
    DATASET = "dataset"
    FACET = "facet"
    PATH = "path"


@dataclass(frozen=True)
class Obligation:
    """One thing that must be found: `job` in the flow run `flow_run`, and what it is about."""

    demand: Demand
    flow_run: str
    job: str = ""
    state: str = ""
    place: Place | None = None
    facet: str = ""
    target: Place | None = None

    def __str__(self) -> str:
        about = f"{self.job}: " if self.job else ""
        return (
            about
            + {
                Demand.RUN: f"a run with START that is {self.state}",
                Demand.PARENT: "names its parent run",
                Demand.ERROR: "says why it failed",
                Demand.COMMIT: "names the commit of its code",
                Demand.READS: f"reads {self.place}",
                Demand.WRITES: f"writes {self.place}",
                Demand.DATASET: f"{self.place} is there as {self.place.kind.value if self.place else ''}",
                Demand.FACET: f"{self.place} carries {self.facet}",
                Demand.PATH: f"a path from {self.place} to {self.target}",
            }[self.demand]
        )


@dataclass(frozen=True)
class Missing:
    """An obligation that was not met, and why."""

    obligation: Obligation
    reason: str

    def __str__(self) -> str:
        return f"{self.obligation} ({self.reason})"


@dataclass(frozen=True)
class Completeness:
    """Complete means that there were obligations and every one was met."""

    met: tuple[Obligation, ...]
    missing: tuple[Missing, ...]

    @property
    def complete(self) -> bool:
        return bool(self.met) and not self.missing


_NAMED = ("dataSource",)
_VERSIONED = (*_NAMED, "version")
_TABULAR = (*_VERSIONED, "schema", "columnLineage")

FACETS: Mapping[Node, tuple[str, ...]] = MappingProxyType(
    {
        Node.TABLE: (*_VERSIONED, "schema", "dataQualityMetrics"),
        Node.RAW: (*_TABULAR, "dataQualityMetrics"),
        Node.DATA_VERSION: _TABULAR,
        Node.FEATURE_VIEWS: _TABULAR,
        Node.REPOSITORY: _VERSIONED,
        Node.IMAGE: _VERSIONED,
        Node.TRAINING_SET: _TABULAR,
        Node.HOLDOUT: _TABULAR,
        Node.MODEL_VERSION: _VERSIONED,
        Node.MODEL: _VERSIONED,
        Node.MANIFEST: _VERSIONED,
        Node.SERVICE: _VERSIONED,
        Node.PREDICTIONS: (*_NAMED, "schema", "columnLineage"),
        Node.DRIFT_REPORT: _VERSIONED,
    }
)


def datasets_at(node: Node, use_case: UseCase) -> tuple[Place, ...]:
    """Which datasets stand at a place of the flow's graph for this use case."""
    table, model = use_case.data.table, use_case.training.model_name
    service = use_case.serving.service
    kind = DatasetKind
    places: dict[Node, tuple[Place, ...]] = {
        Node.TABLE: (Place(kind.TABLE, naming.SOURCE, naming.table_name(table)),),
        Node.RAW: (Place(kind.OBJECT, naming.LAKE, naming.raw_name(table)),),
        Node.DATA_VERSION: (Place(kind.DVC_VERSION, naming.DATA_VERSIONS, table),),
        Node.FEATURE_VIEWS: tuple(
            Place(kind.FEATURE_VIEW, naming.feature_store(use_case), view.name) for view in use_case.features.views
        ),
        Node.REPOSITORY: (Place(kind.REPOSITORY, naming.TRAINING_REPOSITORIES, "*"),),
        Node.IMAGE: (Place(kind.IMAGE, naming.IMAGES, "*"),),
        Node.TRAINING_SET: (Place(kind.TRAINING_SET, naming.LAKE, naming.training_set_name(use_case)),),
        Node.HOLDOUT: (Place(kind.TRAINING_SET, naming.LAKE, naming.holdout_name(use_case)),),
        Node.MODEL_VERSION: (Place(kind.MODEL_VERSION, naming.MODELS, naming.model_version_name(model, "*")),),
        Node.MODEL: (Place(kind.MODEL, naming.MODELS, model),),
        Node.MANIFEST: (Place(kind.MANIFEST, naming.DEPLOYMENT_REPOSITORY, "*"),),
        Node.SERVICE: (Place(kind.SERVICE, naming.services("*"), service),),
        Node.PREDICTIONS: (Place(kind.PREDICTION_LOG, naming.PREDICTIONS, service),),
        Node.DRIFT_REPORT: (Place(kind.DRIFT_REPORT, naming.LAKE, naming.drift_report_name(service, "*")),),
    }
    return places[node]


def obligations(use_case: UseCase, flow: Happened) -> tuple[Obligation, ...]:
    """Everything the graph must hold of one flow run."""
    due: list[Obligation] = [Obligation(Demand.RUN, flow.run_id, flow.flow, flow.state)]
    for name, state in flow.steps:
        due += _of_step(use_case, flow, name, state)
    completed = {name for name, state in flow.steps if state == COMPLETED}
    if {"extract", "verify"} <= completed:
        table, log = datasets_at(Node.TABLE, use_case)[0], datasets_at(Node.PREDICTIONS, use_case)[0]
        due.append(Obligation(Demand.PATH, flow.run_id, place=table, target=log))
    return tuple(dict.fromkeys(due))


def _of_step(use_case: UseCase, flow: Happened, name: str, state: str) -> Iterable[Obligation]:
    job, run = f"{flow.flow}.{name}", flow.run_id
    yield Obligation(Demand.RUN, run, job, state)
    yield Obligation(Demand.PARENT, run, job)
    if state == FAILED:
        yield Obligation(Demand.ERROR, run, job)
    step = STEPS.get(name)
    if step is None or state != COMPLETED:
        return
    if step.code is not None:
        yield Obligation(Demand.COMMIT, run, job)
    for demand, nodes in ((Demand.READS, step.reads), (Demand.WRITES, step.writes)):
        for node in nodes:
            for place in datasets_at(node, use_case):
                yield Obligation(demand, run, job, place=place)
                yield Obligation(Demand.DATASET, run, place=place)
                for facet in FACETS[node]:
                    yield Obligation(Demand.FACET, run, place=place, facet=facet)


def check(due: Iterable[Obligation], graph: LineageSnapshot) -> Completeness:
    """Hold the graph against the obligations."""
    met: list[Obligation] = []
    missing: list[Missing] = []
    for obligation in due:
        reason = _why_not(obligation, graph)
        if reason:
            missing.append(Missing(obligation, reason))
        else:
            met.append(obligation)
    return Completeness(tuple(met), tuple(missing))


def _why_not(obligation: Obligation, graph: LineageSnapshot) -> str:
    """Why it is not met; empty when it is."""
    if obligation.demand is Demand.PATH:
        return _why_no_path(obligation, graph)
    if obligation.demand in (Demand.DATASET, Demand.FACET):
        return _why_not_dataset(obligation, graph)
    return _why_not_run(obligation, graph)


def _why_not_run(obligation: Obligation, graph: LineageSnapshot) -> str:
    run = _run_of(obligation, graph)
    if obligation.demand is Demand.PARENT:
        strays = [each for each in graph.runs if each.job == obligation.job and not each.parent_run_id]
        return "" if run is not None else "its run names no parent" if strays else "no run of this flow run"
    if run is None:
        return "no such run"
    if obligation.demand is Demand.RUN:
        return _why_not_state(run, obligation.state)
    if obligation.demand is Demand.ERROR:
        return "" if run.error else "no errorMessage facet"
    if obligation.demand is Demand.COMMIT:
        return "" if run.commit else "no sourceCodeLocation facet with a version"
    place = obligation.place
    assert place is not None
    keys = run.inputs if obligation.demand is Demand.READS else run.outputs
    return "" if any(place.fits(key) for key in keys) else "no such edge"


def _why_not_state(run: GraphRun, state: str) -> str:
    if not run.started_at:
        return "no START event"
    if state != RUNNING and not run.ended_at:
        return "no event of its end"
    return "" if run.state == state else f"it is {run.state}"


def _run_of(obligation: Obligation, graph: LineageSnapshot) -> GraphRun | None:
    """The latest run of the job in the flow run, or the flow run itself."""
    mine = [
        run for run in graph.runs if run.job == obligation.job and obligation.flow_run in (run.id, run.parent_run_id)
    ]
    return max(mine, key=lambda run: run.started_at, default=None)


def _why_not_dataset(obligation: Obligation, graph: LineageSnapshot) -> str:
    place = obligation.place
    assert place is not None
    fitting = [each for each in graph.datasets if place.fits(each.key)]
    if not fitting:
        return "no such dataset"
    if obligation.demand is Demand.DATASET:
        wrong = [each.kind for each in fitting if each.kind != place.kind.value]
        return f"it is there as {wrong[0] or 'nothing in particular'}" if wrong else ""
    lacking: list[GraphDataset] = [each for each in fitting if obligation.facet not in each.facets]
    return f"{node_name(lacking[0].key)} does not" if lacking else ""


def _why_no_path(obligation: Obligation, graph: LineageSnapshot) -> str:
    start, end = obligation.place, obligation.target
    assert start is not None
    assert end is not None
    mine = LineageSnapshot(tuple(run for run in graph.runs if run.parent_run_id == obligation.flow_run))
    sources = {key for run in mine.runs for key in run.inputs if start.fits(key)}
    reached = {key for source in sources for key in mine.downstream(source)}
    if any(end.fits(key) for key in reached):
        return ""
    furthest = ", ".join(sorted(node_name(key) for key in reached)) or "nothing"
    return f"it reaches {furthest}"
