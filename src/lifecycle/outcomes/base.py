"""What an outcome is: one expectation, judged by asking the system that holds the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifecycle.domain.errors import LifecycleError
from lifecycle.outcomes.world import World


@dataclass(frozen=True)
class Check:
    """One part of an expectation."""

    expected: str
    found: str
    held: bool


@dataclass(frozen=True)
class Finding:
    """What was expected, what was found, where it was read and what to look at when it did not hold.

    It holds when every check does; an expectation without a check holds nothing.
    """

    checks: tuple[Check, ...]
    read_from: str
    look_next: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return bool(self.checks) and all(check.held for check in self.checks)

    @property
    def expected(self) -> str:
        return "; ".join(check.expected for check in self.checks)

    @property
    def found(self) -> str:
        return "; ".join(check.found for check in self.checks)

    @property
    def evidence(self) -> dict[str, Any]:
        """What is kept in the run folder."""
        return {
            "held": self.held,
            "checks": [vars(check) for check in self.checks],
            "read_from": self.read_from,
            "look_next": self.look_next,
            "facts": dict(self.facts),
        }


Judge = Callable[[World, Any], Finding]
_judges: dict[str, Judge] = {}


def outcome(name: str) -> Callable[[Judge], Judge]:
    """Register the judge of an outcome under its word in `then`."""

    def register(judge: Judge) -> Judge:
        if name in _judges:
            raise LifecycleError(f"the outcome {name!r} has two judges")
        _judges[name] = judge
        return judge

    return register


def judges() -> Mapping[str, Judge]:
    """The registered judges by their word."""
    return _judges


def equal(what: str, expected: object, found: object) -> Check:
    """A check that two values are the same."""
    return Check(f"{what} {expected}", f"{what} {found}", expected == found)


def names(values: Sequence[str], limit: int = 5) -> str:
    """A list in words, cut when it is long."""
    shown = ", ".join(values[:limit])
    return f"{shown} and {len(values) - limit} more" if len(values) > limit else shown or "none"
