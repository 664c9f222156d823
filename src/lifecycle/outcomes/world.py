"""What the run knows of itself: handed to the verbs that change it and to the outcomes that judge it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle.domain.events import Emit
    from lifecycle.domain.traffic import TrafficResult
    from lifecycle.loops.context import LineageSink
    from lifecycle.scenario import Story
    from lifecycle.tools.stack import Stack


@dataclass(frozen=True)
class FlowRun:
    """One `run` of the story: its id (the parent run in the lineage graph) and why it stopped itself, if it did."""

    verb: int
    flow: str
    run_id: str
    stopped_step: str = ""
    stopped_reason: str = ""


@dataclass
class World:
    """The stack the story acts on and what has happened so far."""

    story: Story
    stack: Stack
    run_dir: Path
    emit: Emit
    lineage: LineageSink
    flows: list[FlowRun] = field(default_factory=list)
    traffic: list[TrafficResult] = field(default_factory=list)

    @property
    def evidence(self) -> Path:
        return self.run_dir / "evidence"
