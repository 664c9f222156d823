"""What a scenario's `then` can assert: one module each, registered by its word, read back from the system that holds the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lifecycle.outcomes.base import Finding, judges
from lifecycle.outcomes.world import FlowRun, World

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Finding", "FlowRun", "World", "judge", "registered", "sentence"]


def registered() -> tuple[str, ...]:
    """The words of all outcomes that can be judged."""
    from lifecycle.outcomes import ci, data_quality, drift, lineage, model, predictions, serving  # noqa: F401 - importing registers

    return tuple(judges())


def judge(world: World, outcome: BaseModel) -> Finding:
    """Judge one entry of `then`.

    Raises:
        LifecycleError: the system that holds the truth could not be asked.
    """
    registered()
    name, expectation = _entry(outcome)
    return judges()[name](world, expectation)


def sentence(outcome: BaseModel) -> str:
    """The entry in words, close to how the scenario wrote it."""
    name, expectation = _entry(outcome)
    if isinstance(expectation, str):
        return f"{name}: {expectation}"
    return f"{name}: " + ", ".join(
        f"{key} {_words(value)}" for key, value in expectation.model_dump(exclude_unset=True).items()
    )


def _entry(outcome: BaseModel) -> tuple[str, Any]:
    name = next(iter(type(outcome).model_fields))
    return name, getattr(outcome, name)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " and ".join(
            f"{str(key).replace('_', ' ')} {_words(item)}" for key, item in value.items() if item is not None
        )
    if isinstance(value, (list, tuple)):
        return ", ".join(_words(item) for item in value)
    return str(value)
