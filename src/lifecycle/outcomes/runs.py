"""Which state a step's latest job run has in the lineage graph, as Marquez returns it."""

from __future__ import annotations

from lifecycle.outcomes.world import World


def state_of(world: World, step: str) -> str:
    """COMPLETED, FAILED, RUNNING or `not run`, of the step in the story's latest flow run."""
    if not world.flows:
        return "not run"
    world.lineage.flush(30)
    flow = world.flows[-1]
    runs = world.stack.marquez.runs("lifecycle", f"{flow.flow}.{step}")
    mine = [run for run in runs if run.parent_run_id == flow.run_id]
    return mine[0].state if mine else "not run"
