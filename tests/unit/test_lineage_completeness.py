"""Completeness of the lineage: a whole run satisfies every obligation, and whatever is taken away is noticed and named."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.domain.endpoints import MarquezEndpoint
from lifecycle.domain.errors import InvalidInput
from lifecycle.domain.events import StepSkipped
from lifecycle.domain.lineage_graph import GraphDataset, GraphRun, LineageSnapshot
from lifecycle.domain.obligations import Completeness, Demand, check, happened, obligations
from lifecycle.domain.steps import FLOWS, STEPS
from lifecycle.emulators.marquez.app import MarquezConfig, create
from lifecycle.loops.governance import check_lineage, completeness, read_evidence
from lifecycle.loops.trace import trace
from lifecycle.scenario.loading import load_use_case
from lifecycle.testing import told_pipeline as told
from lifecycle.testing.serving import serve
from lifecycle.tools.marquez import Marquez
from lifecycle.tools.openlineage import LineageEmitter

TELCO = load_use_case(Path(__file__).parents[2] / "fixtures" / "telco_churn" / "use_case.yaml")
FLOW, RUN = told.FLOW, told.FLOW_RUN
AFTER_THE_GATE = ("promote", "commit_manifest", "sync", "verify", "drift_report")


@dataclass
class World:
    """What the runner would hand to the governance loop."""

    story: SimpleNamespace
    stack: SimpleNamespace
    run_dir: Path
    lineage: LineageEmitter
    flows: list[SimpleNamespace] = field(default_factory=list)

    def ran(self, stopped_step: str = "") -> None:
        self.flows.append(SimpleNamespace(verb=1, flow=FLOW, run_id=RUN, stopped_step=stopped_step))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with serve(create(MarquezConfig())) as url:
        emitter = LineageEmitter(tmp_path / "lineage", lambda: MarquezEndpoint(url))
        stack = SimpleNamespace(marquez=Marquez(MarquezEndpoint(url)))
        yield World(SimpleNamespace(use_case=TELCO), stack, tmp_path, emitter)
        emitter.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> LineageSnapshot:
    """The graph of a whole run, as Marquez gave it back."""
    folder = tmp_path_factory.mktemp("whole")
    with serve(create(MarquezConfig())) as url:
        emitter = LineageEmitter(folder / "lineage", lambda: MarquezEndpoint(url))
        stack = SimpleNamespace(marquez=Marquez(MarquezEndpoint(url)))
        told.tell(told.context(TELCO, folder, emitter, stack), last=check_lineage)
        world = World(SimpleNamespace(use_case=TELCO), stack, folder, emitter)
        world.ran()
        result = completeness(world)
        emitter.close()
    assert [str(each) for each in result.missing] == []
    graph = read_evidence(folder)
    assert graph is not None
    return graph


def judge(graph: LineageSnapshot) -> Completeness:
    return check(obligations(TELCO, happened(FLOW, RUN)), graph)


# --- a whole run


def test_a_whole_run_is_complete(whole: LineageSnapshot) -> None:
    """Every obligation is met, and there are as many as the flow's graph demands."""
    result = judge(whole)
    assert result.complete
    demands = {each.demand for each in result.met}
    assert demands == set(Demand) - {Demand.ERROR}
    assert sum(1 for each in result.met if each.demand is Demand.RUN) == len(FLOWS[FLOW].steps) + 1


def test_nothing_at_all_is_not_complete() -> None:
    """An empty graph meets nothing, and an empty list of obligations is no success either."""
    assert not judge(LineageSnapshot()).met
    assert not check((), LineageSnapshot()).complete


def test_the_evidence_is_the_graph(whole: LineageSnapshot) -> None:
    """Evidence written and read again is the same graph."""
    assert LineageSnapshot.from_dict(whole.to_dict()) == whole


def test_impact_and_provenance(whole: LineageSnapshot) -> None:
    """A change of the source table reaches the service; the service comes from the source table and the code."""
    table, service = ("postgres://source", "lifecycle.public.customers"), ("kserve://models", "churn")
    assert service in whole.downstream(table)
    assert {table, ("git://training", "telco_churn"), ("oci://registry", "telco_churn")} <= whole.upstream(service)
    assert table not in whole.downstream(service)


# --- whatever is taken away is noticed


@given(data=st.data())
def test_a_lost_run_is_named(whole: LineageSnapshot, data: st.DataObject) -> None:
    """Without any one run, the missing obligations name its job."""
    lost = data.draw(st.sampled_from(whole.runs))
    result = judge(_without(whole, lost))
    assert any(each.obligation.job == lost.job and each.reason == "no such run" for each in result.missing)


@given(data=st.data())
def test_a_lost_start_or_end_is_named(whole: LineageSnapshot, data: st.DataObject) -> None:
    """Without any one START or end event, the run of that job is missing."""
    run = data.draw(st.sampled_from(whole.runs))
    side = data.draw(st.sampled_from(["started_at", "ended_at"]))
    change = {side: ""} if side == "started_at" else {side: "", "state": "RUNNING"}
    result = judge(_replaced(whole, run, dataclasses.replace(run, **change)))
    (missing,) = [each for each in result.missing if each.obligation.demand is Demand.RUN]
    assert missing.obligation.job == run.job
    assert missing.reason in ("no START event", "no event of its end")


@given(data=st.data())
def test_a_lost_edge_is_named(whole: LineageSnapshot, data: st.DataObject) -> None:
    """Without any one edge, the missing obligation names step and dataset."""
    run = data.draw(st.sampled_from([each for each in whole.runs if each.inputs or each.outputs]))
    side = data.draw(st.sampled_from([name for name in ("inputs", "outputs") if getattr(run, name)]))
    key = data.draw(st.sampled_from(getattr(run, side)))
    fewer = tuple(each for each in getattr(run, side) if each != key)
    result = judge(_replaced(whole, run, dataclasses.replace(run, **{side: fewer})))
    demand = Demand.READS if side == "inputs" else Demand.WRITES
    named = [each for each in result.missing if each.obligation.demand is demand]
    assert [(each.obligation.job, each.obligation.place.fits(key)) for each in named if each.obligation.place] == [
        (run.job, True)
    ]


@given(data=st.data())
def test_a_lost_parent_is_named(whole: LineageSnapshot, data: st.DataObject) -> None:
    """A step's run that names no parent is missing from its flow run."""
    run = data.draw(st.sampled_from([each for each in whole.runs if each.parent_run_id]))
    result = judge(_replaced(whole, run, dataclasses.replace(run, parent_run_id="")))
    parents = [each for each in result.missing if each.obligation.demand is Demand.PARENT]
    assert [(each.obligation.job, each.reason) for each in parents] == [(run.job, "its run names no parent")]


@given(data=st.data())
def test_a_lost_dataset_is_named(whole: LineageSnapshot, data: st.DataObject) -> None:
    """Without any one dataset, its place is said to be empty."""
    lost = data.draw(st.sampled_from(whole.datasets))
    fewer = tuple(each for each in whole.datasets if each != lost)
    result = judge(dataclasses.replace(whole, datasets=fewer))
    named = [each for each in result.missing if each.obligation.demand is Demand.DATASET]
    assert [each.obligation.place.fits(lost.key) for each in named if each.obligation.place] == [True]


@given(data=st.data())
def test_a_lost_facet_is_named(whole: LineageSnapshot, data: st.DataObject) -> None:
    """Without any one facet that a dataset owes, that facet of that dataset is missing."""
    due = [each for each in judge(whole).met if each.demand is Demand.FACET and each.place is not None]
    obligation = data.draw(st.sampled_from(due))
    assert obligation.place is not None
    poorer = tuple(
        _less(each, obligation.facet) if obligation.place.fits(each.key) else each for each in whole.datasets
    )
    result = judge(dataclasses.replace(whole, datasets=poorer))
    assert obligation in [each.obligation for each in result.missing]
    assert all(obligation.facet in str(each) for each in result.missing)


def test_a_dataset_of_another_kind_is_named(whole: LineageSnapshot) -> None:
    """A node that says it is something else does not count."""
    changed = tuple(dataclasses.replace(each, kind="metrics") for each in whole.datasets)
    missing = judge(dataclasses.replace(whole, datasets=changed)).missing
    assert {each.obligation.demand for each in missing} == {Demand.DATASET}
    assert "it is there as metrics" in str(missing[0])


def test_a_lost_commit_is_named(whole: LineageSnapshot) -> None:
    """The training must name the commit of its code."""
    (train,) = [run for run in whole.runs if run.step == "train"]
    result = judge(_replaced(whole, train, dataclasses.replace(train, commit="")))
    assert [each.obligation.demand for each in result.missing] == [Demand.COMMIT]


def test_a_broken_path_says_how_far_it_reaches(whole: LineageSnapshot) -> None:
    """Without the service's edge the path ends at the manifest."""
    (sync,) = [run for run in whole.runs if run.step == "sync"]
    graph = _replaced(whole, sync, dataclasses.replace(sync, outputs=()))
    (verify,) = [run for run in graph.runs if run.step == "verify"]
    graph = _replaced(graph, verify, dataclasses.replace(verify, inputs=(("kserve://models", "churn"),)))
    (path,) = [each for each in judge(graph).missing if each.obligation.demand is Demand.PATH]
    assert "git://deployment/models/churn.yaml" in path.reason


def test_runs_of_another_flow_run_do_not_count(whole: LineageSnapshot) -> None:
    """A second flow run owes its own runs: those of the first are no help."""
    other = check(obligations(TELCO, happened(FLOW, "another run")), whole)
    assert {each.demand for each in other.met} == {Demand.DATASET, Demand.FACET}


def _without(graph: LineageSnapshot, lost: GraphRun) -> LineageSnapshot:
    return dataclasses.replace(graph, runs=tuple(run for run in graph.runs if run is not lost))


def _replaced(graph: LineageSnapshot, old: GraphRun, new: GraphRun) -> LineageSnapshot:
    return dataclasses.replace(graph, runs=tuple(new if run is old else run for run in graph.runs))


def _less(dataset: GraphDataset, facet: str) -> GraphDataset:
    return dataclasses.replace(dataset, facets=tuple(each for each in dataset.facets if each != facet))


# --- stories that end early


def test_a_stopped_flow_owes_what_came_before_and_the_failure(world: World) -> None:
    """Stopped by the validation: extract and the failed validate are owed, training is not."""
    ctx = told.context(TELCO, world.run_dir, world.lineage, world.stack)
    with pytest.raises(ValueError, match="something wrong"):
        told.tell(ctx, steps=("extract", "validate"), stop_at="validate")
    world.ran(stopped_step="validate")
    result = completeness(world)
    assert [str(each) for each in result.missing] == []
    jobs = {each.job for each in result.met if each.job}
    assert jobs == {FLOW, f"{FLOW}.extract", f"{FLOW}.validate"}
    assert any(each.demand is Demand.ERROR for each in result.met)


def test_a_closed_gate_owes_nothing_behind_it(world: World) -> None:
    """Steps that the journal says were skipped are not owed, and all others are."""
    ctx = told.context(TELCO, world.run_dir, world.lineage, world.stack)

    def skip_and_check(ctx: object) -> None:
        for step in AFTER_THE_GATE:
            context.emit(StepSkipped(step=step, loop="model", why="the gate is closed", verb=1))
        check_lineage(context)

    context = ctx
    before = tuple(step for step in FLOWS[FLOW].steps if step not in (*AFTER_THE_GATE, "lineage"))
    told.tell(ctx, steps=before, last=skip_and_check)
    world.ran()
    result = completeness(world)
    assert [str(each) for each in result.missing] == []
    assert {each.job for each in result.met if each.job} == {FLOW, *(f"{FLOW}.{step}" for step in (*before, "lineage"))}


def test_a_step_left_out_without_a_word_is_missing(world: World) -> None:
    """A run that never drew its drift report is incomplete, and the report says so."""
    ctx = told.context(TELCO, world.run_dir, world.lineage, world.stack)
    steps = tuple(step for step in FLOWS[FLOW].steps if step not in ("drift_report", "lineage"))
    told.tell(ctx, steps=steps, last=check_lineage)
    world.ran()
    result = completeness(world)
    assert not result.complete
    assert any("drift_report: a run with START that is COMPLETED (no such run)" in str(each) for each in result.missing)


def test_the_lineage_step_judges_what_is_there_so_far(world: World) -> None:
    """Inside the flow its own end and that of the step are not owed yet."""
    ctx = told.context(TELCO, world.run_dir, world.lineage, world.stack)
    results: list[Completeness] = []
    told.tell(ctx, last=lambda ctx: results.append(check_lineage(ctx)))
    (result,) = results
    assert [str(each) for each in result.missing] == []
    assert result.complete


def test_every_step_of_every_flow_is_described() -> None:
    """The flows' table names only steps that the graph's table knows, and only waits for steps of the same flow."""
    for flow in FLOWS.values():
        assert set(flow.steps) <= set(STEPS)
        for step, after in flow.after:
            assert set(after) <= set(flow.steps)
            assert step not in flow.before(step)


# --- traces


@pytest.fixture
def traced(world: World) -> Path:
    """The folder of a whole run with its prediction log."""
    told.tell(told.context(TELCO, world.run_dir, world.lineage, world.stack), last=check_lineage)
    told.predictions(world.run_dir)
    return world.run_dir


def test_a_prediction_is_traced_to_its_rows(traced: Path) -> None:
    """From the request id to service, model version, run, image, commit, data version, training rows and source."""
    found = trace(traced, "verify-v1-2")
    assert (found.rows[0].key, found.rows[0].probability) == ("C00002", 0.5)
    assert (found.service, found.model_version) == ("kserve://models/churn", "mlflow://registry/telco_churn/1")
    assert (found.mlflow_run, found.pipeline_run) == ("mlflow-1", "kfp-1")
    assert (found.image_digest, found.commit) == ("sha256:feed", told.COMMIT)
    assert (found.data_version, found.training_rows) == ("d0a1 (md5 md5abc)", 5634)
    assert found.source == ("postgres://source/lifecycle.public.customers up to 2026-03-01T00:00:00Z",)


def test_a_trace_is_told_in_lines(traced: Path) -> None:
    """One fact per line, the key of the row among them."""
    lines = list(trace(traced, "verify-v1-1").lines())
    assert any("C00001 -> 0.2500" in line for line in lines)
    assert any(line.startswith("commit") and told.COMMIT in line for line in lines)
    assert not any("not known" in line for line in lines)


def test_an_unknown_request_names_near_ones(traced: Path) -> None:
    """A mistyped id is answered with ids that are there."""
    with pytest.raises(InvalidInput) as error:
        trace(traced, "verify-v1-7")
    assert "verify-v1-" in error.value.fix


def test_a_run_without_predictions_cannot_be_traced(tmp_path: Path) -> None:
    """The error says what is not there."""
    with pytest.raises(InvalidInput, match="holds no predictions"):
        trace(tmp_path, "verify-v1-1")


def test_a_run_without_lineage_cannot_be_traced(tmp_path: Path) -> None:
    """Predictions alone do not tell where they came from."""
    told.predictions(tmp_path)
    with pytest.raises(InvalidInput, match=r"lineage\.json"):
        trace(tmp_path, "verify-v1-1")
