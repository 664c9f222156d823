"""Runs a flow in this process against a Prefect API, so that the run and its tasks are there for anyone to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lifecycle.domain.endpoints import PrefectEndpoint
    from lifecycle.loops.context import RunContext


def preload() -> None:
    """Import Prefect and the flows: seconds that can pass while services start."""
    import lifecycle.flows.churn_prediction  # noqa: F401


def run_flow(context: RunContext, prefect: PrefectEndpoint) -> Any:
    """Run the context's flow to its end and give back what it returned.

    Raises:
        StepStopped: a step rightly refused to go on.
        LifecycleError: a service failed.
    """
    from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, temporary_settings

    from lifecycle.flows import flow_named
    from lifecycle.flows.binding import bound

    updates: dict[Any, Any] = {PREFECT_API_URL: prefect.api_url}
    if prefect.api_key is not None:
        updates[PREFECT_API_KEY] = prefect.api_key.reveal()
    with temporary_settings(updates=updates), bound(context) as key:
        return flow_named(context.flow)(key)
