"""A durable first-in-first-out spool of lines in a folder: what is appended survives the process, until it is acknowledged.

`events.jsonl` holds every line ever appended, `acknowledged` the byte offset up to which they were delivered, `rejected.jsonl` what
the receiver refused for good. A line cut off by a crash in the middle of its append was never handed over, so it is taken out.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Spooled:
    """One line and the offset of the byte after it."""

    line: bytes
    end: int


class Spool:
    """The spool of one run; safe to use from several threads of one process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "events.jsonl"
        self.rejected_path = folder / "rejected.jsonl"
        self._offset_path = folder / "acknowledged"
        self._lock = threading.Lock()
        self._size = self._repair()
        self._acknowledged = self._read_offset()
        self._left = self._count_from(self._acknowledged)
        self.rejected: list[str] = self._read_rejected()

    @property
    def left(self) -> int:
        """How many lines are not acknowledged."""
        with self._lock:
            return self._left

    def append(self, line: str) -> None:
        """Write one line; it is with the operating system when this returns."""
        data = line.encode() + b"\n"
        with self._lock:
            with self.path.open("ab") as file:
                file.write(data)
            self._size += len(data)
            self._left += 1

    def next(self) -> Spooled | None:
        """The oldest line that is not acknowledged."""
        with self._lock:
            if not self._left:
                return None
            with self.path.open("rb") as file:
                file.seek(self._acknowledged)
                line = file.readline()
            return Spooled(line.rstrip(b"\n"), self._acknowledged + len(line))

    def acknowledge(self, spooled: Spooled) -> None:
        """Mark the line as delivered: it is never handed out again, not in another process either."""
        with self._lock:
            temporary = self._offset_path.with_suffix(".new")
            temporary.write_text(str(spooled.end))
            os.replace(temporary, self._offset_path)
            self._acknowledged = spooled.end
            self._left -= 1

    def reject(self, spooled: Spooled, reason: str) -> None:
        """Put aside what the receiver will never take, so that it does not hold up what comes after it."""
        with self._lock:
            with self.rejected_path.open("a") as file:
                file.write(json.dumps({"reason": reason, "event": spooled.line.decode()}) + "\n")
            self.rejected.append(reason)
        self.acknowledge(spooled)

    def _repair(self) -> int:
        """Cut off an unfinished last line; returns the file's size."""
        if not self.path.exists():
            return 0
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
        return whole

    def _read_offset(self) -> int:
        if not self._offset_path.exists():
            return 0
        text = self._offset_path.read_text().strip()
        return min(int(text), self._size) if text.isdigit() else 0

    def _count_from(self, offset: int) -> int:
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            file.seek(offset)
            return sum(1 for _ in file)

    def _read_rejected(self) -> list[str]:
        if not self.rejected_path.exists():
            return []
        return [json.loads(line)["reason"] for line in self.rejected_path.read_text().splitlines()]
