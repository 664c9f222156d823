"""Run one emulator inside a test process: its own thread, its own event loop, a free port on loopback.

    with serve(create(config)) as url:
        requests.get(f"{url}/healthz")

A background coroutine that dies takes the emulator with it, and its exception is raised where the block ends: a test may not
pass on top of a controller that is already dead.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from lifecycle.domain.errors import ServiceError
from lifecycle.emulators.base import Coroutine, Emulator

START_SECONDS = 20.0
STOP_SECONDS = 20.0


class _Server(uvicorn.Server):
    """uvicorn's server that says when it is listening, so that nobody polls for it."""

    def __init__(self, config: uvicorn.Config, listening: asyncio.Event) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._listening.set()


class _Host:
    """The thread an emulator lives in."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._socket: socket.socket | None = None
        self._own: asyncio.Server | None = None  # of an emulator that brings its own server
        self._port = 0
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name=f"emulator-{emulator.name}", daemon=True)

    def start(self) -> str:
        """Listen and return the base URL without a trailing slash, empty for an emulator that answers no requests."""
        if self._emulator.app is not None:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
            self._port = self._socket.getsockname()[1]
        self._thread.start()
        if not self._ready.wait(START_SECONDS):
            raise ServiceError(f"emulator {self._emulator.name} did not listen within {START_SECONDS:.0f} s")
        if self._failure is not None:
            raise self._failure
        return f"http://127.0.0.1:{self._port}" if self._port else ""

    def stop(self) -> None:
        """End server, coroutines and children; raise what any of them died of."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_SECONDS)
        if self._socket is not None:
            self._socket.close()
        if self._thread.is_alive():
            raise ServiceError(f"emulator {self._emulator.name} did not end within {STOP_SECONDS:.0f} s")
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as failure:  # noqa: BLE001 - it is carried to the thread that asked, not swallowed
            self._failure = failure
        finally:
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        stop = asyncio.create_task(self._stop.wait())
        listening = asyncio.Event()
        server, serving = self._server(listening)
        work = [serving] if serving is not None else []
        try:
            if serving is not None:
                heard = asyncio.create_task(listening.wait())
                await asyncio.wait({heard, serving}, return_when=asyncio.FIRST_COMPLETED)
                heard.cancel()
                if not listening.is_set():
                    raise ServiceError(f"emulator {self._emulator.name} ended before it listened")
            if self._emulator.listen is not None:
                self._own = await self._emulator.listen("127.0.0.1", 0)
                self._port = self._own.sockets[0].getsockname()[1]
            work += [asyncio.create_task(_run(coroutine)) for coroutine in self._emulator.background]
            self._ready.set()
            await _until(stop, work)
        finally:
            await self._end(server, serving, [task for task in work if task is not serving])
            stop.cancel()
        for task in work:
            if not task.cancelled() and (failure := task.exception()) is not None:
                raise failure

    def _server(self, listening: asyncio.Event) -> tuple[_Server | None, asyncio.Task[None] | None]:
        if self._emulator.app is None or self._socket is None:
            return None, None
        config = uvicorn.Config(
            self._emulator.app,
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=0,  # open watches would hold it for ever
            timeout_keep_alive=60,
            lifespan="auto",
        )
        server = _Server(config, listening)
        return server, asyncio.create_task(server.serve(sockets=[self._socket]))

    async def _end(
        self, server: _Server | None, serving: asyncio.Task[None] | None, background: list[asyncio.Task[None]]
    ) -> None:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        if server is not None and serving is not None:
            server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
        if self._own is not None:
            self._own.close()
        if self._emulator.close is not None:
            await self._emulator.close()


async def _run(coroutine: Coroutine) -> None:
    await coroutine()


async def _until(end: asyncio.Task[Any], work: list[asyncio.Task[None]]) -> None:
    """Wait for `end`; a coroutine that ends by itself is fine, one that fails ends the wait."""
    waiting: set[asyncio.Task[Any]] = {end, *work}
    while not end.done() and not any(task.done() and task.exception() for task in work):
        _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


@contextmanager
def serve(emulator: Emulator) -> Iterator[str]:
    """Run the emulator on a free port of 127.0.0.1 while the block runs; gives its URL (empty without an app)."""
    host = _Host(emulator)
    url = host.start()
    try:
        yield url
    finally:
        host.stop()
