"""Many child processes owned by one context manager; usable from any thread."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from lifecycle.domain.errors import ServiceError
from lifecycle.process import guardian as guardian_script

GUARDIAN = (sys.executable, "-I", "-S", str(Path(guardian_script.__file__)))
_HEADER = struct.Struct("!I")
_START_DEADLINE_S = 20.0
LOST = -9  # the code of a child whose guardian is gone: it was killed with it


def log_tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Child:
    """One child process: its head; what it started itself ends with it."""

    def __init__(self, owner: Children, identity: int, name: str, log: Path | None) -> None:
        self._owner = owner
        self._identity = identity
        self.name = name
        self.log = log
        self.pid = 0
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs."""
        return self._code

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end; raises TimeoutError when it still runs after `timeout_s` seconds."""
        with self._owner.changed:
            if not self._owner.changed.wait_for(lambda: self._code is not None, timeout_s):
                raise TimeoutError(f"{self.name} still runs after {timeout_s} s")
        assert self._code is not None
        return self._code

    def signal(self, number: int) -> None:
        """Send a signal to the head; nothing happens when it has ended."""
        self._owner.tell({"do": "signal", "id": self._identity, "number": int(number)})

    def kill(self) -> None:
        """SIGKILL for the head and everything below it."""
        self._owner.tell({"do": "kill", "id": self._identity})

    def terminate(self, grace_s: float = 5.0) -> int:
        """Ask it to end, kill its whole tree when it has not after `grace_s` seconds; returns the exit code."""
        self.signal(self._owner.stop_signal_of(self._identity))
        try:
            return self.wait(grace_s)
        except TimeoutError:
            self.kill()
            return self.wait(_START_DEADLINE_S)

    def log_tail(self, lines: int = 15) -> str:
        return log_tail(self.log, lines) if self.log is not None else ""


class Children:
    """Owner of child processes. Leaving the context ends them all, side by side; so does the end of this process, whatever its cause."""

    def __init__(self, *, grace_s: float = 5.0) -> None:
        self.grace_s = grace_s
        self.changed = threading.Condition()
        self._children: dict[int, Child] = {}
        self._failures: dict[int, OSError] = {}
        self._stop_signals: dict[int, int] = {}
        self._next = 0
        self._sending = threading.Lock()
        self._control: socket.socket | None = None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._lost = False

    def __enter__(self) -> Children:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            # a session of its own: Ctrl-C in the terminal must reach the harness only, which then ends its children in order
            self._guardian = subprocess.Popen(
                [*GUARDIAN, "serve", str(theirs.fileno()), str(os.getpid())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        self._control = ours
        threading.Thread(target=self._listen, args=(ours,), name="children", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path,
        user: str | None = None,
        pass_fds: Sequence[int] = (),
        stop_signal: int = signal.SIGTERM,
    ) -> Child:
        """Start a child in a session of its own; its output is appended to `log`, its input is empty.

        Args:
            env: the whole environment; default: this process's.
            user: run as this user (only root can).
            pass_fds: descriptors handed down; the first is 3 in the child, the next 4 and so on.
            stop_signal: what asks this program to end in good order.

        Raises:
            ServiceError: the program cannot be started.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        identity = self._register(name, log, stop_signal)
        ids = None if user is None else [pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid]
        with open(os.devnull, "rb") as nothing, log.open("ab") as output:
            fds = [nothing.fileno(), output.fileno(), output.fileno(), *pass_fds]
            message = {
                "do": "start",
                "id": identity,
                "argv": [str(part) for part in argv],
                "env": dict(os.environ if env is None else env),
                "cwd": None if cwd is None else str(cwd),
                "ids": ids,
                "fds": len(fds),
                "stop_signal": int(stop_signal),
            }
            self.tell(message, fds)
            return self._started(identity, str(argv[0]))

    def _register(self, name: str, log: Path | None, stop_signal: int) -> int:
        with self.changed:
            self._next += 1
            self._children[self._next] = Child(self, self._next, name, log)
            self._stop_signals[self._next] = int(stop_signal)
            return self._next

    def _started(self, identity: int, program: str) -> Child:
        child = self._children[identity]
        with self.changed:
            known = self.changed.wait_for(
                lambda: child.pid or identity in self._failures or self._lost, _START_DEADLINE_S
            )
            failure = self._failures.pop(identity, None)
        if child.pid:
            return child
        del self._children[identity]
        if failure is not None:
            fix = (
                "install it or correct the path"
                if isinstance(failure, FileNotFoundError)
                else "check the program and its permissions"
            )
            raise ServiceError(f"{child.name} cannot be started: {program}: {failure.strerror}", fix=fix) from failure
        what = (
            "the guardian process ended"
            if known
            else f"the guardian process did not answer within {_START_DEADLINE_S:.0f} s"
        )
        raise ServiceError(
            f"{child.name} cannot be started: {what}", fix="look whether the machine is out of memory or processes"
        )

    def remove_at_end(self, folder: Path) -> None:
        """Remove this folder after the last child ended, even when this process is killed."""
        self.tell({"do": "remove", "path": str(folder)})

    @property
    def running(self) -> tuple[Child, ...]:
        return tuple(child for child in self._children.values() if child.pid and child.poll() is None)

    def close(self) -> None:
        """End all children side by side: stop signal, `grace_s`, SIGKILL. Returns when nothing of them is left. May be called twice."""
        control, guardian = self._control, self._guardian
        if control is None or guardian is None:
            return
        with contextlib.suppress(OSError, ServiceError):
            self.tell({"do": "grace", "seconds": self.grace_s})
            control.shutdown(socket.SHUT_WR)
        try:
            guardian.wait(self.grace_s + 15)
        except BaseException:
            # a second Ctrl-C: no grace any more; the parent-death signal takes the heads, the closed socket the rest
            guardian.send_signal(signal.SIGUSR1)
            guardian.wait(15)
            raise
        finally:
            self._control = None
            control.close()
            self._all_lost()

    # --- talking with the guardian

    def stop_signal_of(self, identity: int) -> int:
        return self._stop_signals[identity]

    def tell(self, message: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        control = self._control
        if control is None:
            raise ServiceError(
                "child processes can only be started inside `with Children()`", fix="enter the context first"
            )
        body = json.dumps(message).encode()
        data = _HEADER.pack(len(body)) + body
        with self._sending:
            try:
                sent = socket.send_fds(control, [data], list(fds)) if fds else 0
                control.sendall(data[sent:])
            except OSError as error:
                if message["do"] == "start":
                    raise ServiceError(
                        "the guardian process of the services is gone", fix="start the run again"
                    ) from error

    def _listen(self, control: socket.socket) -> None:
        buffer = bytearray()
        while True:
            try:
                data = control.recv(65536)
            except OSError:
                data = b""
            if not data:
                self._all_lost()
                return
            buffer += data
            while len(buffer) >= _HEADER.size:
                (size,) = _HEADER.unpack_from(buffer)
                if len(buffer) < _HEADER.size + size:
                    break
                self._heard(json.loads(bytes(buffer[_HEADER.size : _HEADER.size + size])))
                del buffer[: _HEADER.size + size]

    def _heard(self, message: dict[str, int | str]) -> None:
        with self.changed:
            if "exit" in message:
                self._children[int(message["exit"])]._code = int(message["code"])
            elif "pid" in message:
                self._children[int(message["started"])].pid = int(message["pid"])
            else:
                self._failures[int(message["started"])] = OSError(int(message["errno"]), str(message["error"]))
            self.changed.notify_all()

    def _all_lost(self) -> None:
        with self.changed:
            self._lost = True
            for child in self._children.values():
                if child._code is None:
                    child._code = LOST
            self.changed.notify_all()


def wait_all(children: Sequence[Child], timeout_s: float) -> None:
    """Wait until each has ended; raises TimeoutError."""
    until = time.monotonic() + timeout_s
    for child in children:
        child.wait(max(0.0, until - time.monotonic()))
