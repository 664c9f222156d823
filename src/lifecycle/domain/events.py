"""The typed events of a run: the runner emits them, the journal keeps them, reports listen to them.

`at` is seconds since the epoch (UTC). Every event is a frozen record of plain values, so that one line of JSON carries it:
`to_json` and `from_json` are each other's inverse.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar


class Loop(StrEnum):
    """The six loops; `HARNESS` is what the harness itself does around them (services, traffic)."""

    DATA = "data"
    CODE = "code"
    MODEL = "model"
    DEPLOYMENT = "deployment"
    MONITORING = "monitoring"
    GOVERNANCE = "governance"
    HARNESS = "harness"


class Verdict(StrEnum):
    HELD = "held"  # every expected outcome held: exit 0
    NOT_HELD = "not_held"  # at least one did not: exit 1
    ERROR = "error"  # the harness or a service failed, so nothing can be said: exit 3


def _now() -> float:
    return time.time()


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events."""

    registry: ClassVar[dict[str, type[Event]]] = {}
    at: float = field(default_factory=_now)

    def __init_subclass__(cls) -> None:
        Event.registry[cls.__name__] = cls

    def to_json(self) -> str:
        return json.dumps({"event": type(self).__name__, **dataclasses.asdict(self)}, default=str)

    @staticmethod
    def from_json(line: str) -> Event:
        """Raises ValueError when the line is no event of this version."""
        data: dict[str, Any] = json.loads(line)
        name = data.pop("event", None)
        if name not in Event.registry:
            raise ValueError(f"unknown event {name!r}")
        return Event.registry[name](**data)


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    run_id: str
    scenario: str
    title: str
    story: str  # the scenario file's own text
    tier: str
    seed: int
    run_dir: str
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ServiceStarting(Event):
    service: str


@dataclass(frozen=True, kw_only=True)
class ServiceReady(Event):
    service: str
    seconds: float
    address: str = ""
    detail: str = ""  # e.g. "emulator", a version, a note such as a fallback that was taken


@dataclass(frozen=True, kw_only=True)
class ServiceStopped(Event):
    service: str


@dataclass(frozen=True, kw_only=True)
class VerbStarted(Event):
    """One entry of the story's `when`, numbered from 1."""

    index: int
    text: str


@dataclass(frozen=True, kw_only=True)
class VerbFinished(Event):
    index: int
    seconds: float
    stopped: str = ""  # why a flow stopped itself (data quality, red tests), empty when it went through


@dataclass(frozen=True, kw_only=True)
class StepStarted(Event):
    step: str
    loop: str
    verb: int = 0  # index of the `when` entry it belongs to
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class StepFinished(Event):
    """`facts` are short values worth reading (rows=7043), `artifacts` map a label to a path in the run folder or an address."""

    step: str
    loop: str
    seconds: float
    verb: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StepFailed(Event):
    """`reason` is a StepStopped's word when the step rightly refused to go on, empty when it broke."""

    step: str
    loop: str
    seconds: float
    error: str
    verb: int = 0
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StepSkipped(Event):
    step: str
    loop: str
    why: str
    verb: int = 0


@dataclass(frozen=True, kw_only=True)
class Progress(Event):
    """Where a long step is; `total` 0 means unknown."""

    step: str
    done: int
    total: int
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class OutcomeJudged(Event):
    """One entry of the story's `then`."""

    index: int
    outcome: str
    text: str  # as the scenario wrote it
    held: bool
    expected: str
    found: str
    read_from: str  # the system and address it was read back from
    look_next: str = ""  # what to look at when it did not hold
    evidence: str = ""  # path of the evidence file below the run folder


@dataclass(frozen=True, kw_only=True)
class HarnessFailed(Event):
    error: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    verdict: str
    exit_code: int
    seconds: float
    report: str = ""


Emit = Callable[[Event], None]
