"""What every emulator is to the process that hosts it: an ASGI application, coroutines that run beside it, and a way to end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

AsgiApp = Callable[..., Awaitable[Any]]
Coroutine = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Emulator:
    """One emulator, not yet listening.

    `app` answers on a port the host chooses (None for a controller that only watches the Kubernetes API). `background` are long-running
    coroutines started on the host's event loop and cancelled at the end; `close` is awaited last and must leave no child process.
    """

    name: str
    app: AsgiApp | None = None
    background: tuple[Coroutine, ...] = field(default=())
    close: Coroutine | None = None
