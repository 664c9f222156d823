"""Hosts several emulators in one process on one event loop: `python -m lifecycle.emulators.serve SPEC.json`.

SPEC.json holds a list of `Hosted` records. A tier hands down a listening socket for each (its number is `fd`), so an address is known, and
requests wait in its backlog, before this process has imported anything. An emulator with neither is a controller that only watches.
The file named by `--ready` gets one line per emulator once it serves. A background coroutine that dies ends the process with its
traceback: a half dead stack would only fail later and elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import importlib
import json
import signal
import socket
import sys
import typing
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lifecycle.domain.errors import InvalidInput
from lifecycle.emulators.base import Emulator

HOST = "127.0.0.1"
NAMES = ("argocd", "gateway", "kserve", "kubeflow", "kubernetes", "marquez", "registry")


@dataclasses.dataclass(frozen=True)
class Hosted:
    """One emulator to host: its name, its configuration's values, and the listening socket or the port it gets."""

    name: str
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    fd: int | None = None
    port: int = 0


def build(name: str, values: Mapping[str, Any]) -> Emulator:
    """The emulator of that name, configured; texts become paths where the configuration asks for a path.

    Raises:
        InvalidInput: there is no such emulator or setting.
    """
    if name not in NAMES:
        raise InvalidInput(f"there is no emulator {name!r}", fix=f"choose one of {', '.join(NAMES)}")
    module = importlib.import_module(f"lifecycle.emulators.{name}.app")
    config = typing.get_type_hints(module.create)["config"]
    hints = typing.get_type_hints(config)
    for key in values:
        if key not in hints:
            raise InvalidInput(
                f"the emulator {name} has no setting {key!r}", fix=f"its settings are {', '.join(hints)}"
            )
    made = config(**{key: _typed(hints[key], value) for key, value in values.items()})
    emulator: Emulator = module.create(made)
    return emulator


def _typed(hint: Any, value: Any) -> Any:
    wants_path = hint is Path or Path in typing.get_args(hint)
    return Path(value) if wants_path and isinstance(value, str) else value


async def host(hosted: Sequence[Hosted], ready: Path | None = None, announce: bool = False) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        InvalidInput: an emulator's name or settings.
        BaseException: whatever a server or a background coroutine died of.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    emulators = [build(one.name, one.config) for one in hosted]
    servers: list[Any] = []
    tasks: list[asyncio.Task[Any]] = []
    try:
        for one, emulator in zip(hosted, emulators, strict=True):
            url = await _listen(one, emulator, servers, tasks)
            tasks += [asyncio.create_task(_named(emulator.name, coroutine())) for coroutine in emulator.background]
            if ready is not None:
                with ready.open("a") as file:
                    file.write(json.dumps({"name": one.name, "url": url}) + "\n")
            if announce:
                print(f"{one.name}: {url or 'watching'}", flush=True)
        ended = asyncio.create_task(stop.wait())
        while not ended.done():
            done, _ = await asyncio.wait(
                {ended, *(task for task in tasks if not task.done())}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {ended}:
                task.result()
    finally:
        await _close(emulators, servers, tasks)


async def _named(name: str, work: Awaitable[None]) -> None:
    try:
        await work
    except Exception as error:
        error.add_note(f"in the emulator {name}")
        raise


async def _listen(one: Hosted, emulator: Emulator, servers: list[Any], tasks: list[asyncio.Task[Any]]) -> str:
    """Start the emulator's server, if it has one; returns its URL."""
    if emulator.listen is not None:
        server = await emulator.listen(HOST, one.port)
        servers.append(server)
        return f"http://{HOST}:{server.sockets[0].getsockname()[1]}"
    if emulator.app is None:
        return ""
    import uvicorn

    listener = (
        socket.socket(fileno=one.fd) if one.fd is not None else socket.create_server((HOST, one.port), backlog=512)
    )
    config = uvicorn.Config(
        emulator.app, log_level="warning", access_log=False, timeout_graceful_shutdown=1, timeout_keep_alive=75
    )
    asgi = uvicorn.Server(config)
    asgi.install_signal_handlers = lambda: None  # type: ignore[attr-defined] # signals are this host's, for all emulators at once
    servers.append(asgi)
    tasks.append(asyncio.create_task(_named(emulator.name, asgi._serve([listener]))))
    return f"http://{HOST}:{listener.getsockname()[1]}"


async def _close(emulators: Sequence[Emulator], servers: Sequence[Any], tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Controllers first, so that nothing is started any more, then what they started, then the servers."""
    for server in servers:
        if hasattr(server, "should_exit"):
            server.should_exit = True
        else:
            server.close()
    background = [task for task in tasks if not task.get_coro().__qualname__.endswith("_serve")]  # type: ignore[union-attr]
    for task in background:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for emulator in emulators:
        if emulator.close is not None:
            await emulator.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """The process: reads the specification, serves, and ends with a message rather than a traceback for a wrong specification."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--ready", type=Path)
    options = parser.parse_args(arguments)
    hosted = [Hosted(**one) for one in json.loads(options.spec.read_text())]
    try:
        run(host(hosted, options.ready))
    except InvalidInput as error:
        sys.exit(f"error: {error}")


def run(work: Any) -> None:
    """On uvloop's event loop, which comes with uvicorn wherever it can."""
    try:
        import uvloop
    except ImportError:  # not made for every platform
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
