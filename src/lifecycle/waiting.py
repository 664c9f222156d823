"""The one way to wait: for a condition, with a deadline, and with an explanation when it does not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from lifecycle.domain.errors import ServiceError

T = TypeVar("T")
_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.1


def wait_until(
    condition: Callable[[], T | None],
    *,
    deadline_s: float,
    what: str,
    fix: str = "",
    explain: Callable[[], str] | None = None,
) -> T:
    """Ask until the condition gives something true, and return that.

    The pause between two questions grows from 5 ms to 0.1 s, so a quick answer is not waited for and a slow one costs nothing.

    Args:
        deadline_s: seconds after which waiting is given up.
        what: what is waited for, in words that end the sentence "waited 5 s for ...".
        explain: asked once at the deadline for what is known, such as the tail of a log.

    Raises:
        ServiceError: it did not come in time, or the condition itself raised one.
    """
    begun = time.monotonic()
    pause = _FIRST_PAUSE_S
    while True:
        answer = condition()
        if answer:
            return answer
        waited = time.monotonic() - begun
        if waited >= deadline_s:
            known = explain() if explain is not None else ""
            raise ServiceError(f"waited {deadline_s:g} s for {what}" + (f":\n{known}" if known else ""), fix=fix)
        time.sleep(min(pause, deadline_s - waited))
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
