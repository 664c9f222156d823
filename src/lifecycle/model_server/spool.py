"""The prediction log's way out: rows wait in local files until the bucket has them.

Layout: `<root>/<instance>/<service>/<model version>/<utc time>-<instance>-<n>.jsonl`; the path below the instance's folder is the object's key, so
sending a segment again overwrites the same object and no row is there twice. An instance holds a lock in its folder while it lives; whoever
starts next with the same root takes over the folders whose lock is free and sends what was left in them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

GATHER_S = 0.3  # a segment is closed this long after its first row: well below the promised second
RETRY_FIRST_S = 0.25
RETRY_MOST_S = 2.0
_LOCK = ".lock"

log = logging.getLogger("kserve.prediction_log")

Send = Callable[[str, bytes], None]  # (key, body); raises when the object is not stored


@dataclass(frozen=True)
class _Segment:
    """A closed file of `rows` rows, to be stored under `key`."""

    path: Path
    key: str
    rows: int


class Spool:
    """Appends rows durably and sends them in the background; usable from one appending thread and any number of readers."""

    def __init__(self, root: Path, prefix: str, send: Send) -> None:
        self.instance = uuid.uuid4().hex[:12]
        self._prefix = prefix.strip("/")
        self._send = send
        self._root = root
        self._home = root / self.instance
        self._changed = threading.Condition()
        self._waiting: list[_Segment] = []
        self._file: int | None = None
        self._open: tuple[Path, str] | None = None
        self._open_rows = 0
        self._opened_at = 0.0
        self._number = 0
        self._logged = 0
        self._unsent = 0
        self._deadline: float | None = None
        self._locks: dict[Path, int] = {}
        fresh = root / f".{self.instance}"  # hidden until it is locked, so that no other server takes it over meanwhile
        fresh.mkdir(parents=True)
        self._locks[self._home] = _lock(fresh)
        fresh.rename(self._home)
        self._take_over()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def logged(self) -> int:
        """Rows appended by this instance."""
        return self._logged

    @property
    def unsent(self) -> int:
        """Rows that the bucket does not have yet, those taken over included."""
        return self._unsent

    def append(self, lines: Sequence[bytes]) -> None:
        """Write the rows, one JSON document each without a newline, in one system call; they survive this process when it returns."""
        if not lines:
            return
        body = b"\n".join(lines) + b"\n"
        with self._changed:
            if self._file is None:
                self._begin_segment()
            assert self._file is not None
            written = 0
            while written < len(body):
                written += os.write(self._file, body[written:])
            self._open_rows += len(lines)
            self._logged += len(lines)
            self._unsent += len(lines)
            if self._open_rows == len(lines):
                self._changed.notify_all()

    def close(self, grace_s: float) -> int:
        """Send what is left, for at most `grace_s` seconds; returns how many rows stay in the spool for the next instance."""
        with self._changed:
            self._deadline = time.monotonic() + grace_s
            self._changed.notify_all()
        self._thread.join(grace_s + 5)
        if self._unsent:
            log.warning(
                "%d predictions are still in the spool %s; a server started with it sends them",
                self._unsent,
                self._root,
            )
        for home, lock in list(self._locks.items()):
            self._let_go(home, lock)
        return self._unsent

    # --- segments

    def _begin_segment(self) -> None:
        self._number += 1
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        key = f"{self._prefix}/{now}-{self.instance}-{self._number}.jsonl"
        path = self._home / key
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._open = (path, key)
        self._open_rows = 0
        self._opened_at = time.monotonic()

    def _end_segment(self) -> None:
        if self._file is None or self._open is None:
            return
        os.close(self._file)
        path, key = self._open
        self._waiting.append(_Segment(path, key, self._open_rows))
        self._file = self._open = None
        self._open_rows = 0

    def _take_over(self) -> None:
        for home in sorted(self._root.iterdir()):
            if home == self._home or home.name.startswith(".") or not home.is_dir():
                continue
            try:
                self._locks[home] = _lock(home)
            except (BlockingIOError, FileNotFoundError):
                continue  # its owner lives, or another server was faster
            segments = [_left_over(home, path) for path in sorted(home.rglob("*.jsonl"))]
            self._waiting += [segment for segment in segments if segment.rows]
            self._unsent += sum(segment.rows for segment in segments)
            if not any(segment.rows for segment in segments):
                self._let_go(home, self._locks[home])

    def _let_go(self, home: Path, lock: int) -> None:
        if not any(segment.path.is_relative_to(home) for segment in self._waiting):
            shutil.rmtree(home, ignore_errors=True)
        os.close(lock)
        self._locks.pop(home, None)

    # --- sending

    def _run(self) -> None:
        pause = RETRY_FIRST_S
        while (segment := self._next()) is not None:
            try:
                self._send(segment.key, segment.path.read_bytes())
            except Exception as error:  # noqa: BLE001 - whatever the store says, the rows stay and are tried again
                log.warning("cannot store %s yet, trying again: %s", segment.key, error)
                if not self._pause(pause):
                    return
                pause = min(pause * 2, RETRY_MOST_S)
                continue
            pause = RETRY_FIRST_S
            with self._changed:
                self._waiting.remove(segment)
                self._unsent -= segment.rows
            segment.path.unlink()
            self._release_taken_over(segment)

    def _next(self) -> _Segment | None:
        """The next segment to send, waiting for one; None when this is the end and nothing is left."""
        with self._changed:
            while True:
                if self._waiting:
                    return self._waiting[0]
                if self._file is not None:
                    remaining = self._opened_at + GATHER_S - time.monotonic()
                    if remaining <= 0 or self._deadline is not None:
                        self._end_segment()
                    else:
                        self._changed.wait(remaining)
                elif self._deadline is not None:
                    return None
                else:
                    self._changed.wait()

    def _pause(self, seconds: float) -> bool:
        """Wait before the next try; False when the time given to `close` is over."""
        until = time.monotonic() + seconds
        with self._changed:
            while (now := time.monotonic()) < until:
                if self._deadline is not None and now >= self._deadline:
                    return False
                self._changed.wait(min(until, self._deadline or until) - now)
                if self._deadline is not None:
                    until = min(until, now + RETRY_FIRST_S)
        return self._deadline is None or time.monotonic() < self._deadline

    def _release_taken_over(self, segment: _Segment) -> None:
        home = self._root / segment.path.relative_to(self._root).parts[0]
        if home != self._home and not any(other.path.is_relative_to(home) for other in self._waiting):
            self._let_go(home, self._locks[home])


def _lock(home: Path) -> int:
    """Take the folder's lock; it is given back by the kernel when this process ends, however it ends."""
    descriptor = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _left_over(home: Path, path: Path) -> _Segment:
    """A segment as its dead writer left it; a line cut in the middle was never answered, so it is dropped."""
    body = path.read_bytes()
    whole = body[: body.rfind(b"\n") + 1]
    if len(whole) != len(body):
        os.truncate(path, len(whole))
    return _Segment(path, str(path.relative_to(home)), whole.count(b"\n"))
