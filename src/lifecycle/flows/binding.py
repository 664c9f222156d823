"""Ties a flow run to its RunContext.

Prefect records a flow's parameters as JSON, so a flow is given the key of a context that lives in this process rather than the
context with its clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from lifecycle.domain.errors import InvalidInput

if TYPE_CHECKING:
    from prefect import Task

    from lifecycle.loops.context import RunContext

P = ParamSpec("P")
R = TypeVar("R")

_bound: dict[str, RunContext] = {}


@contextmanager
def bound(context: RunContext) -> Iterator[str]:
    """Make the context known under its run id while the flow runs; yields the key."""
    _bound[context.run_id] = context
    try:
        yield context.run_id
    finally:
        del _bound[context.run_id]


def context_of(run: str) -> RunContext:
    """The context bound under that key.

    Raises:
        InvalidInput: the flow was started without a run that binds it.
    """
    if run not in _bound:
        raise InvalidInput(f"no run {run!r} is under way in this process", fix="start the flow through `lifecycle run`")
    return _bound[run]


def step(function: Callable[Concatenate[RunContext, P], R]) -> Task[..., R]:
    """A loop's step as a Prefect task of the same name; its first parameter becomes the run's key.

    Nothing is cached or retried by Prefect: whether a step may run twice is the step's own business.
    """

    def run_step(run: str, /, *args: Any, **kwargs: Any) -> R:
        return function(context_of(run), *args, **kwargs)

    run_step.__name__ = function.__name__
    run_step.__doc__ = function.__doc__
    options: dict[str, Any] = {"name": function.__name__, "cache_policy": NO_CACHE, "persist_result": False}
    made: Task[..., R] = task(**options)(run_step)
    return made
