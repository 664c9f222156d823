"""One child process for asyncio code, tied with everything it starts to the life of this process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lifecycle.domain.errors import ServiceError
from lifecycle.process.children import GUARDIAN

Stream = int | IO[bytes] | None


class TiedProcess:
    """A process and everything below it; `pid` is that of its guardian, which exits as the process did (128 + signal when killed)."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.stdout = process.stdout
        self.stderr = process.stderr

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    def terminate(self) -> None:
        """SIGTERM for the head."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL for the whole tree."""
        self._signal(signal.SIGUSR1)

    async def stop(self, grace_s: float = 5.0) -> int:
        """Ask it to end, kill the whole tree when it has not after `grace_s` seconds; returns the exit code."""
        self.terminate()
        try:
            return await asyncio.wait_for(self.wait(), grace_s)
        except TimeoutError:
            self.kill()
            return await self.wait()

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            try:
                self._process.send_signal(number)
            except ProcessLookupError:
                return  # ended meanwhile; wait() tells how


async def spawn_tied(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: Stream = None,
    stderr: Stream = None,
    pass_fds: Sequence[int] = (),
) -> TiedProcess:
    """Start a process from a coroutine; its input is empty, `stdout` and `stderr` are as in asyncio.create_subprocess_exec.

    `pass_fds` keep their numbers. Raises ServiceError when the working folder is missing; a program that cannot be started shows as exit code 127 with the
    reason on stderr.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *GUARDIAN,
            "one",
            str(os.getpid()),
            *(str(part) for part in argv),
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise ServiceError(
            f"cannot start {argv[0]}: the folder {cwd} does not exist", fix="make the folder first"
        ) from error
    return TiedProcess(process)
