"""The named Prefect flows, composed of the loops' steps; the only place that imports Prefect for flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def flow_named(name: str) -> Callable[[str], Any]:
    """The flow of that name, imported when asked for since Prefect takes seconds to import."""
    if name == "churn_prediction_pipeline":
        from lifecycle.flows.churn_prediction import churn_prediction_pipeline

        return churn_prediction_pipeline
    raise KeyError(name)
