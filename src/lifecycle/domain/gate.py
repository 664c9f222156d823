"""The gate: may this model replace the one that serves? Pure decision over metrics measured on the same holdout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lifecycle.domain.use_case import GateRule


@dataclass(frozen=True)
class GateCheck:
    """One bound, what was found and whether it held."""

    metric: str
    rule: str
    found: float | None
    bound: float
    held: bool


@dataclass(frozen=True)
class GateDecision:
    """The gate opens only when every check held."""

    checks: tuple[GateCheck, ...]

    @property
    def passed(self) -> bool:
        return bool(self.checks) and all(check.held for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        """One sentence per check that did not hold."""
        return tuple(
            f"{check.metric} is {'missing' if check.found is None else f'{check.found:.4f}'}, {check.rule} {check.bound:.4f}"
            for check in self.checks
            if not check.held
        )


def decide(
    rules: Sequence[GateRule], candidate: Mapping[str, float], champion: Mapping[str, float] | None
) -> GateDecision:
    """Check every rule; a metric that is missing or not a number holds nothing.

    With no champion (`None`) rules against it are left out: the first model has only absolute bounds to meet.
    For an `at_most` metric smaller is better, so its champion margin is an upper bound.
    """
    return GateDecision(tuple(check for rule in rules for check in _checks(rule, candidate, champion)))


def _checks(
    rule: GateRule, candidate: Mapping[str, float], champion: Mapping[str, float] | None
) -> Iterator[GateCheck]:
    metric, found = rule.metric, candidate.get(rule.metric)
    value = math.nan if found is None else found  # nan compares false with everything
    if rule.at_least is not None:
        yield GateCheck(metric, "must be at least", found, rule.at_least, _finite(value) and value >= rule.at_least)
    if rule.at_most is not None:
        yield GateCheck(metric, "must be at most", found, rule.at_most, _finite(value) and value <= rule.at_most)
    if rule.champion_margin is None or champion is None:
        return
    reigning = champion.get(metric, math.nan)
    if rule.at_most is not None and rule.at_least is None:
        bound = reigning + rule.champion_margin
        held = _finite(value, bound) and value <= bound
        yield GateCheck(metric, "must be at most the champion's plus the margin:", found, bound, held)
    else:
        bound = reigning - rule.champion_margin
        held = _finite(value, bound) and value >= bound
        yield GateCheck(metric, "must be at least the champion's less the margin:", found, bound, held)


def _finite(*values: float) -> bool:
    return all(math.isfinite(value) for value in values)
