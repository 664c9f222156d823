"""The gate: a pure decision, so its properties are stated over all metrics."""

from __future__ import annotations

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from lifecycle.domain.gate import decide
from lifecycle.domain.use_case import GateRule

metrics = st.floats(0, 1)
margins = st.floats(0, 0.2)


@given(value=metrics, bound=metrics)
def test_an_absolute_bound_holds_exactly_from_the_bound_on(value: float, bound: float) -> None:
    """at_least and at_most hold on their side of the bound, the bound included."""
    assert decide([GateRule(metric="m", at_least=bound)], {"m": value}, None).passed == (value >= bound)
    assert decide([GateRule(metric="m", at_most=bound)], {"m": value}, None).passed == (value <= bound)


@given(champion=metrics, value=metrics, margin=margins)
def test_a_candidate_may_be_worse_than_the_champion_by_the_margin_only(
    champion: float, value: float, margin: float
) -> None:
    """Where greater is better the champion less the margin is the bound; where smaller is better, plus the margin."""
    greater = decide([GateRule(metric="m", at_least=0, champion_margin=margin)], {"m": value}, {"m": champion})
    assert greater.passed == (value >= champion - margin)
    smaller = decide([GateRule(metric="m", at_most=1, champion_margin=margin)], {"m": value}, {"m": champion})
    assert smaller.passed == (value <= champion + margin)


@given(value=metrics, margin=margins)
def test_the_champion_itself_always_passes_against_itself(value: float, margin: float) -> None:
    """A retrain that changes nothing is never worse than what serves."""
    assert decide([GateRule(metric="m", champion_margin=margin)], {"m": value}, {"m": value}).passed


@given(lower=metrics, higher=metrics, champion=metrics)
def test_a_better_candidate_is_never_refused_where_a_worse_one_passes(
    lower: float, higher: float, champion: float
) -> None:
    """The decision is monotone in the metric."""
    assume(lower <= higher)
    rules = [GateRule(metric="m", at_least=0.5, champion_margin=0.01)]
    if decide(rules, {"m": lower}, {"m": champion}).passed:
        assert decide(rules, {"m": higher}, {"m": champion}).passed


def test_a_missing_or_broken_metric_never_passes() -> None:
    """No number, no promotion: neither a missing metric nor one that is not finite opens the gate."""
    rules = [GateRule(metric="m", at_least=0.0), GateRule(metric="m", at_most=1.0)]
    for candidate in ({}, {"m": math.nan}, {"m": math.inf}, {"m": -math.inf}):
        decision = decide(rules, candidate, None)
        assert not decision.passed
        assert len(decision.reasons) == len([check for check in decision.checks if not check.held])
    assert not decide([GateRule(metric="m", champion_margin=0.1)], {"m": 0.9}, {}).passed
    assert not decide([GateRule(metric="m", champion_margin=0.1)], {"m": 0.9}, {"m": math.nan}).passed


def test_the_first_model_has_only_absolute_bounds_to_meet() -> None:
    """Without a champion the rule against it is left out, and a gate with nothing to check stays closed."""
    assert decide([GateRule(metric="m", at_least=0.5, champion_margin=0.0)], {"m": 0.6}, None).passed
    assert not decide([GateRule(metric="m", champion_margin=0.0)], {"m": 0.6}, None).passed


def test_the_reason_names_metric_value_and_bound() -> None:
    """What a user reads when the gate closes."""
    (reason,) = decide([GateRule(metric="roc_auc", at_least=0.8)], {"roc_auc": 0.71234}, None).reasons
    assert reason == "roc_auc is 0.7123, must be at least 0.8000"
