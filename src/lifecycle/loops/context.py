"""What every step of every loop is given, and how a step tells what it did.

`RunContext.step(...)` is the one place where a step becomes visible: it emits the run's events and the step's OpenLineage START and
COMPLETE (or FAIL) events with everything the step said it read and wrote.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lifecycle.domain.errors import StepStopped
from lifecycle.domain.events import Emit, Loop, Progress, StepFailed, StepFinished, StepStarted

if TYPE_CHECKING:
    from lifecycle.domain.lineage import Dataset, SourceCode
    from lifecycle.domain.use_case import UseCase
    from lifecycle.tools.stack import Stack


class LineageSink(Protocol):
    """Where a step's lineage goes: Marquez through a durable spool in a run, a list in a unit test."""

    def flush(self, deadline_s: float) -> None:
        """Wait until everything emitted so far has arrived; raises ServiceError when it has not in time."""

    def close(self) -> None:
        """Stop sending; what has not arrived stays in the spool."""

    def emit(
        self,
        *,
        state: str,
        job: str,
        run_id: str,
        at: datetime,
        parent: tuple[str, str] | None,
        inputs: tuple[Dataset, ...] = (),
        outputs: tuple[Dataset, ...] = (),
        source_code: SourceCode | None = None,
        error: str = "",
    ) -> None:
        """Queue one OpenLineage run event; `state` is START, COMPLETE or FAIL; `parent` is (job name, run id). Never blocks on the network."""


@dataclass
class Step:
    """A step under way; the loops' functions say through it what they read, wrote and found."""

    name: str
    inputs: list[Dataset] = field(default_factory=list)
    outputs: list[Dataset] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    source_code: SourceCode | None = None

    def reads(self, *datasets: Dataset) -> None:
        self.inputs.extend(datasets)

    def writes(self, *datasets: Dataset) -> None:
        self.outputs.extend(datasets)

    def note(self, **facts: object) -> None:
        """Facts worth reading next to the step, such as rows=7043."""
        self.facts.update({key: str(value) for key, value in facts.items()})

    def artifact(self, label: str, path: Path | str) -> None:
        self.artifacts[label] = str(path)


@dataclass(frozen=True)
class RunContext:
    """One flow run: the stack it acts on, the use case it is about, where its files go and who listens."""

    run_id: str  # the flow run's id: parent of every step in the lineage graph
    flow: str
    seed: int
    stack: Stack
    use_case: UseCase
    run_dir: Path
    emit: Emit
    lineage: LineageSink
    verb: int = 0

    def progress(self, step: str, done: int, total: int, unit: str = "") -> None:
        self.emit(Progress(step=step, done=done, total=total, unit=unit))

    @contextmanager
    def step(self, name: str, loop: Loop, *, title: str = "") -> Iterator[Step]:
        """Run the body as one step; an exception fails the step and goes on to the caller."""
        step = Step(name)
        job = f"{self.flow}.{name}"
        run_id = str(uuid.uuid4())
        parent = (self.flow, self.run_id)
        self.emit(StepStarted(step=name, loop=loop, verb=self.verb, title=title or name.replace("_", " ")))
        self.lineage.emit(state="START", job=job, run_id=run_id, at=datetime.now(UTC), parent=parent)
        begun = time.perf_counter()
        try:
            yield step
        except BaseException as error:
            seconds = time.perf_counter() - begun
            self.lineage.emit(
                state="FAIL",
                job=job,
                run_id=run_id,
                at=datetime.now(UTC),
                parent=parent,
                inputs=tuple(step.inputs),
                outputs=tuple(step.outputs),
                source_code=step.source_code,
                error=str(error),
            )
            self.emit(
                StepFailed(
                    step=name,
                    loop=loop,
                    seconds=seconds,
                    verb=self.verb,
                    error=str(error) or type(error).__name__,
                    reason=error.reason if isinstance(error, StepStopped) else "",
                    facts=step.facts,
                    artifacts=step.artifacts,
                )
            )
            raise
        seconds = time.perf_counter() - begun
        self.lineage.emit(
            state="COMPLETE",
            job=job,
            run_id=run_id,
            at=datetime.now(UTC),
            parent=parent,
            inputs=tuple(step.inputs),
            outputs=tuple(step.outputs),
            source_code=step.source_code,
        )
        self.emit(
            StepFinished(
                step=name, loop=loop, seconds=seconds, verb=self.verb, facts=step.facts, artifacts=step.artifacts
            )
        )
