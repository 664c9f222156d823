"""`lineage`: every obligation of the story, checked against the graph as Marquez returns it."""

from __future__ import annotations

from typing import Literal

from lifecycle.domain.endpoints import MarquezEndpoint
from lifecycle.outcomes.base import Check, Finding, names, outcome
from lifecycle.outcomes.world import World


@outcome("lineage")
def judge(world: World, expectation: Literal["complete"]) -> Finding:
    """Complete: each run of each step that had to happen, each node, edge and facet is there."""
    from lifecycle.loops.governance import completeness

    marquez = world.stack.endpoint(MarquezEndpoint)
    result = completeness(world)
    missing = [str(obligation) for obligation in result.missing]
    met = len(result.met)
    check = Check(
        f"lineage {expectation}: nothing missing",
        f"{met} obligations met, missing: {names(missing)}",
        met > 0 and not missing,
    )
    return Finding(
        (check,),
        read_from=f"Marquez ({marquez.url}, {marquez.kind})",
        look_next="the lineage graph in the report; evidence/lineage.json",
        facts={"met": met, "missing": missing},
    )
