"""The one helper that waits: for a condition, with a deadline, and with an explanation when the condition never came true."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from lifecycle.domain.errors import ServiceError
from lifecycle.process import Child, log_tail

T = TypeVar("T")

_FIRST_PAUSE_S = 0.005
_LONGEST_PAUSE_S = 0.1


@dataclass(frozen=True)
class NotYet:
    """What a condition returns while it does not hold: what was seen instead."""

    seen: str

    def __bool__(self) -> bool:
        return False


@dataclass
class _Wait:
    """The state of one wait: its deadline, its last observation, and what explains a failure."""

    what: str
    deadline_s: float
    child: Child | None
    log: Path | None
    errors: tuple[type[Exception], ...]
    fix: str
    explain: Callable[[], str] | None
    begun: float = field(default_factory=time.monotonic)
    seen: str = ""

    def pauses(self) -> Iterator[float]:
        """Pauses between two looks: they grow, so a quick answer is not waited for and a slow one costs little. There is a look at the deadline itself."""
        pause = _FIRST_PAUSE_S
        while (left := self.begun + self.deadline_s - time.monotonic()) > 0:
            yield min(pause, left)
            pause = min(pause * 1.5, _LONGEST_PAUSE_S)
        yield 0.0

    def observe(self, result: object) -> None:
        self.seen = result.seen if isinstance(result, NotYet) else ""

    def check_child(self) -> None:
        """A service whose process has ended will never be ready: say so now instead of at the deadline."""
        if self.child is not None and (code := self.child.poll()) is not None:
            ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise self.failure(f"the process of {self.child.name} {ended} while waiting for {self.what}")

    def gave_up(self) -> ServiceError:
        seen = f"; last seen: {self.seen}" if self.seen else ""
        return self.failure(f"waited {self.deadline_s:g} s for {self.what}{seen}")

    def failure(self, message: str) -> ServiceError:
        if self.explain is not None and (known := self.explain()):
            message += f":\n{known}"
        log = self.log or (self.child.log if self.child is not None else None)
        tail = log_tail(log) if log is not None else ""
        if tail:
            message += f"\n  end of {log}:\n" + "\n".join(f"    {line}" for line in tail.splitlines())
        return ServiceError(message, fix=self.fix or (f"read {log}" if log is not None else ""))


def wait_until(
    condition: Callable[[], T | NotYet | None],
    deadline_s: float,
    what: str,
    *,
    child: Child | None = None,
    log: Path | None = None,
    errors: tuple[type[Exception], ...] = (),
    fix: str = "",
    explain: Callable[[], str] | None = None,
) -> T:
    """Poll `condition` until it is true and return its value.

    Args:
        condition: returns something true, or something false; a `NotYet` tells what was seen instead.
        deadline_s: seconds after which it is given up.
        what: the thing waited for, as it reads after "waited 5 s for".
        child: the process that must bring it about; its end ends the wait.
        log: whose end is quoted when the wait fails; default: the child's.
        errors: exceptions of the condition that mean "not yet".
        fix: what the user can do when it fails.
        explain: asked once, when it fails, for what else is known.

    Raises:
        ServiceError: naming what was waited for, how long, the last observation and the end of the log; or raised by the condition itself.
    """
    wait = _Wait(what, deadline_s, child, log, errors, fix, explain)
    for pause in wait.pauses():
        try:
            result = condition()
            if result and not isinstance(result, NotYet):
                return result
            wait.observe(result)
        except errors as error:
            wait.seen = f"{type(error).__name__}: {error}"
        wait.check_child()
        time.sleep(pause)
    raise wait.gave_up()


async def wait_until_async(
    condition: Callable[[], Awaitable[T | NotYet | None]],
    deadline_s: float,
    what: str,
    *,
    child: Child | None = None,
    log: Path | None = None,
    errors: tuple[type[Exception], ...] = (),
    fix: str = "",
    explain: Callable[[], str] | None = None,
) -> T:
    """`wait_until` for coroutines; same arguments, same errors."""
    wait = _Wait(what, deadline_s, child, log, errors, fix, explain)
    for pause in wait.pauses():
        try:
            result = await condition()
            if result and not isinstance(result, NotYet):
                return result
            wait.observe(result)
        except errors as error:
            wait.seen = f"{type(error).__name__}: {error}"
        wait.check_child()
        await asyncio.sleep(pause)
    raise wait.gave_up()
