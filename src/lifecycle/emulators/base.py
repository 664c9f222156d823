"""What every emulator is to the process that hosts it: a server, coroutines that run beside it, and a way to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

AsgiApp = Callable[..., Awaitable[Any]]
Coroutine = Callable[[], Awaitable[None]]
Listen = Callable[[str, int], Awaitable[asyncio.Server]]


@dataclass(frozen=True)
class Emulator:
    """One emulator, not yet listening.

    `app` answers on a port the host chooses (None for a controller that only watches the Kubernetes API). An emulator whose server is no ASGI
    application (the gateway: it proxies bytes) gives `listen` instead: awaited with host and port (0: any free one) on the host's event loop, it
    returns the listening server, whose `sockets` tell the port; the host closes it at the end. At most one of the two is given. `background` are
    long-running coroutines started on the host's event loop once it listens, and cancelled at the end; `close` is awaited last and must leave no
    child process.
    """

    name: str
    app: AsgiApp | None = None
    background: tuple[Coroutine, ...] = field(default=())
    close: Coroutine | None = None
    listen: Listen | None = None
