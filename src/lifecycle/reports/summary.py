"""What the events of a run add up to: the one reading of the journal that all written reports share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lifecycle.domain.errors import InvalidInput
from lifecycle.domain.events import (
    Event,
    HarnessFailed,
    OutcomeJudged,
    RunFinished,
    RunStarted,
    ServiceReady,
    StepFailed,
    StepFinished,
    StepSkipped,
    StepStarted,
    VerbFinished,
    VerbStarted,
)


@dataclass(frozen=True)
class StepRun:
    """One step: `begun` and `seconds` on the run's clock (seconds since its start); `state` is finished, stopped, failed, skipped or running."""

    step: str
    loop: str
    verb: int
    title: str
    begun: float
    seconds: float
    state: str
    error: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    artifacts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class VerbRun:
    """One entry of `when`; `seconds` is None when it never ended."""

    index: int
    text: str
    seconds: float | None
    stopped: str


@dataclass(frozen=True)
class Summary:
    """The run in records; `finished` is None for a run that was killed."""

    started: RunStarted
    finished: RunFinished | None
    services: tuple[ServiceReady, ...]
    verbs: tuple[VerbRun, ...]
    steps: tuple[StepRun, ...]
    outcomes: tuple[OutcomeJudged, ...]
    failures: tuple[HarnessFailed, ...]

    @property
    def verdict(self) -> str:
        return self.finished.verdict if self.finished else "stopped half way"


def summarise(events: Sequence[Event]) -> Summary:
    """Raises InvalidInput when the journal does not begin with the run's start."""
    started = next((event for event in events if isinstance(event, RunStarted)), None)
    if started is None:
        raise InvalidInput(
            "the journal has no start of a run", fix="the run was killed at its very start; run it again"
        )
    ended = {event.index: event for event in events if isinstance(event, VerbFinished)}
    verbs = tuple(
        VerbRun(event.index, event.text, ended[event.index].seconds, ended[event.index].stopped)
        if event.index in ended
        else VerbRun(event.index, event.text, None, "")
        for event in events
        if isinstance(event, VerbStarted)
    )
    return Summary(
        started=started,
        finished=next((event for event in events if isinstance(event, RunFinished)), None),
        services=tuple(event for event in events if isinstance(event, ServiceReady)),
        verbs=verbs,
        steps=_steps(events, started.at),
        outcomes=tuple(event for event in events if isinstance(event, OutcomeJudged)),
        failures=tuple(event for event in events if isinstance(event, HarnessFailed)),
    )


def _steps(events: Sequence[Event], zero: float) -> tuple[StepRun, ...]:
    """Starts paired with their ends; a step may run again in a later verb, so the pair is by verb and name."""
    open_steps: dict[tuple[int, str], StepStarted] = {}
    runs: list[StepRun] = []
    for event in events:
        if isinstance(event, StepStarted):
            open_steps[event.verb, event.step] = event
        elif isinstance(event, StepFinished):
            begun = open_steps.pop((event.verb, event.step), None)
            runs.append(
                StepRun(
                    event.step,
                    event.loop,
                    event.verb,
                    begun.title if begun else event.step,
                    event.at - event.seconds - zero,
                    event.seconds,
                    "finished",
                    facts=tuple(event.facts.items()),
                    artifacts=tuple(event.artifacts.items()),
                )
            )
        elif isinstance(event, StepFailed):
            begun = open_steps.pop((event.verb, event.step), None)
            runs.append(
                StepRun(
                    event.step,
                    event.loop,
                    event.verb,
                    begun.title if begun else event.step,
                    event.at - event.seconds - zero,
                    event.seconds,
                    "stopped" if event.reason else "failed",
                    event.error,
                    tuple(event.facts.items()),
                    tuple(event.artifacts.items()),
                )
            )
        elif isinstance(event, StepSkipped):
            runs.append(
                StepRun(event.step, event.loop, event.verb, event.step, event.at - zero, 0.0, "skipped", event.why)
            )
    last = events[-1].at
    runs += [StepRun(e.step, e.loop, e.verb, e.title, e.at - zero, last - e.at, "running") for e in open_steps.values()]
    return tuple(sorted(runs, key=lambda run: run.begun))
