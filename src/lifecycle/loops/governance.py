"""The governance loop: the flow's own run in the lineage graph, and whether the graph is complete.

`flow_run` wraps a flow so that its run begins and ends in the graph, `check_lineage` is the last step of a flow, `completeness` judges
the whole story once it is told. Both read the graph back from Marquez and leave it in `evidence/lineage.json`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lifecycle.domain.errors import ServiceError
from lifecycle.domain.events import Event, Loop, StepFailed, StepFinished, StepSkipped
from lifecycle.domain.lineage_graph import JOBS, GraphDataset, GraphRun, LineageSnapshot
from lifecycle.domain.obligations import RUNNING, Completeness, Happened, Obligation, check, happened, obligations
from lifecycle.domain.steps import STEPS

if TYPE_CHECKING:
    from lifecycle.domain.use_case import UseCase
    from lifecycle.loops.context import LineageSink, RunContext
    from lifecycle.tools.marquez import Marquez
    from lifecycle.tools.stack import Stack

STEP = "lineage"
EVIDENCE = "lineage.json"
FLUSH_SECONDS = 30.0


class FlowRun(Protocol):
    """What the story knows of a flow that ended."""

    @property
    def verb(self) -> int: ...
    @property
    def flow(self) -> str: ...
    @property
    def run_id(self) -> str: ...
    @property
    def stopped_step(self) -> str: ...


class Story(Protocol):
    """The story's use case."""

    @property
    def use_case(self) -> UseCase: ...


class Told(Protocol):
    """A story that has been told: what it ran and where to ask."""

    @property
    def story(self) -> Story: ...
    @property
    def stack(self) -> Stack: ...
    @property
    def run_dir(self) -> Path: ...
    @property
    def lineage(self) -> LineageSink: ...
    @property
    def flows(self) -> Sequence[FlowRun]: ...


@contextmanager
def flow_run(ctx: RunContext) -> Iterator[None]:
    """The flow's own run in the graph: the parent of its steps' runs, ended as the body ends."""

    def emit(state: str, error: str = "") -> None:
        ctx.lineage.emit(state=state, job=ctx.flow, run_id=ctx.run_id, at=datetime.now(UTC), parent=None, error=error)

    emit("START")
    try:
        yield
    except BaseException as error:
        emit("FAIL", str(error) or type(error).__name__)
        raise
    emit("COMPLETE")


def check_lineage(ctx: RunContext) -> Completeness:
    """Whether the graph holds everything this flow run owes it so far; the story's verdict is `completeness`."""
    with ctx.step(STEP, Loop.GOVERNANCE) as step:
        flush(ctx.lineage)
        journal = read_journal(ctx.run_dir / "journal.jsonl", ctx.verb)
        so_far = _under_way(happened(ctx.flow, ctx.run_id, skipped=_skipped(journal), ran=_ended(journal)))
        graph = snapshot(ctx.stack.marquez, [(ctx.flow, ctx.run_id)])
        result = check(obligations(ctx.use_case, so_far), graph)
        path = write_evidence(ctx.run_dir, graph, result)
        step.note(
            datasets=len(graph.datasets), edges=len(graph.edges), met=len(result.met), missing=len(result.missing)
        )
        step.artifact("lineage", path)
    return result


def completeness(world: Told) -> Completeness:
    """Every obligation of every flow of the story, against the graph as Marquez returns it now."""
    flush(world.lineage)
    graph = snapshot(world.stack.marquez, [(flow.flow, flow.run_id) for flow in world.flows])
    due: list[Obligation] = []
    for flow in world.flows:
        journal = read_journal(world.run_dir / "journal.jsonl", flow.verb)
        ended = happened(
            flow.flow, flow.run_id, stopped=flow.stopped_step, skipped=_skipped(journal), ran=_ended(journal)
        )
        due += obligations(world.story.use_case, ended)
    result = check(due, graph)
    write_evidence(world.run_dir, graph, result)
    return result


def snapshot(marquez: Marquez, flow_runs: Sequence[tuple[str, str]]) -> LineageSnapshot:
    """The flow runs (flow, run id) with their steps' runs and every dataset they touched, read from Marquez."""
    flows = {flow for flow, _ in flow_runs}
    ids = {run_id for _, run_id in flow_runs}
    runs: list[GraphRun] = []
    for job in marquez.jobs(JOBS):
        if job.name in flows or job.name.rpartition(".")[0] in flows:
            mine = (run for run in marquez.runs(JOBS, job.name) if run.id in ids or run.parent_run_id in ids)
            runs += [_with_commit(marquez, run) for run in mine]
    keys = dict.fromkeys(key for run in runs for key in (*run.inputs, *run.outputs))
    return LineageSnapshot(tuple(sorted(runs, key=lambda run: run.started_at)), _datasets(marquez, list(keys)))


def _with_commit(marquez: Marquez, run: GraphRun) -> GraphRun:
    known = STEPS.get(run.step)
    if known is None or known.code is None:
        return run
    return dataclasses.replace(run, commit=marquez.commit_of(run.id))


def _datasets(marquez: Marquez, keys: Sequence[tuple[str, str]]) -> tuple[GraphDataset, ...]:
    return tuple(marquez.dataset(*key) for key in keys)


def flush(sink: LineageSink) -> None:
    """Wait until the sink's events arrived, where it is one that sends.

    Raises:
        ServiceError: some did not arrive in time.
    """
    wait = getattr(sink, "flush", None)
    if wait is None:
        raise ServiceError(f"the lineage sink {type(sink).__name__} sends nothing, so the graph cannot be judged")
    wait(FLUSH_SECONDS)


def write_evidence(run_dir: Path, graph: LineageSnapshot, result: Completeness) -> Path:
    """Keep the graph and the judgement in the run folder, for the report and for `lifecycle trace`."""
    path = run_dir / "evidence" / EVIDENCE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {
                **graph.to_dict(),
                "complete": result.complete,
                "met": [str(each) for each in result.met],
                "missing": [str(each) for each in result.missing],
            },
            indent=1,
        )
    )
    return path


def read_evidence(run_dir: Path) -> LineageSnapshot | None:
    """The graph kept in a run folder, None when the run did not come that far."""
    path = run_dir / "evidence" / EVIDENCE
    return LineageSnapshot.from_dict(json.loads(path.read_text())) if path.is_file() else None


def read_journal(path: Path, verb: int) -> tuple[Event, ...]:
    """The step events of one entry of `when`; an unfinished last line, which the writer is still at, is left out."""
    if not path.is_file():
        return ()
    events: list[Event] = []
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n") and '"event": "Step' in line:
            event = Event.from_json(line)
            if getattr(event, "verb", None) == verb:
                events.append(event)
    return tuple(events)


def _skipped(events: Iterable[Event]) -> frozenset[str]:
    return frozenset(event.step for event in events if isinstance(event, StepSkipped))


def _ended(events: Iterable[Event]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event.step for event in events if isinstance(event, StepFinished | StepFailed)))


def _under_way(flow: Happened) -> Happened:
    """The same flow while its last step, this one, is running."""
    steps: list[tuple[str, Any]] = [(name, state) for name, state in flow.steps if name != STEP]
    return Happened(flow.flow, flow.run_id, RUNNING, (*steps, (STEP, RUNNING)))
