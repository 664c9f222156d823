"""A TCP port of the loopback interface that stays ours from the moment it is chosen until its server listens on it."""

from __future__ import annotations

import socket
import sys
from types import TracebackType

HOST = "127.0.0.1"


class ReservedPort:
    """A free port, chosen by the kernel and held by a bound socket.

    `listener()` turns it into a listening socket to hand down to a server. A server that must open the port itself is started while it is held
    (on Linux a bound socket that does not listen lets another one with SO_REUSEADDR bind, and keeps the kernel from giving the port away);
    `release()` once that server listens.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, 0))
        self.number: int = self._socket.getsockname()[1]

    def listener(self, backlog: int = 512) -> socket.socket:
        """The listening socket: requests that come before the server accepts wait in its backlog."""
        self._socket.listen(backlog)
        return self._socket

    def hand_over(self) -> int:
        """The number, for a server about to be started that opens the port itself. Outside Linux the port is let go of here."""
        if sys.platform != "linux":
            self.release()
        return self.number

    def release(self) -> None:
        self._socket.close()

    def __enter__(self) -> ReservedPort:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
