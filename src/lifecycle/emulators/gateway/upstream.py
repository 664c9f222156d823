"""Connections to endpoints: kept alive, pooled per address, one response at a time."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import httptools

from lifecycle.emulators.gateway.endpoints import Address

IDLE_S = 20.0  # below the keep-alive of every server behind, so that they do not close what is about to be used
CONNECT_S = 3.0
IDLE_MOST = 256

Header = tuple[bytes, bytes]


class Exchange(Protocol):
    """What a connection tells the request it carries."""

    def response_head(self, status: int, headers: list[Header], *, framed: bool) -> None:
        """`framed` is False when only the end of the connection ends the body."""

    def response_body(self, data: bytes) -> None: ...

    def response_end(self) -> None: ...

    def response_lost(self) -> None:
        """The connection ended before the response was whole."""

    def upstream_writable(self, writable: bool) -> None: ...


class Connection(asyncio.Protocol):
    """One connection to an endpoint."""

    def __init__(self, pool: Pool, address: Address) -> None:
        self._pool = pool
        self.address = address
        self.transport: asyncio.Transport = None  # type: ignore[assignment] # set before anybody sees the connection
        self.idle_since = 0.0
        self._exchange: Exchange | None = None
        self._parser: Any = None
        self._headers: list[Header] = []
        self._head_only = False
        self._status = 0
        self._keep = False
        self._framed = True

    # --- for the request

    def begin(self, exchange: Exchange, *, head_only: bool) -> None:
        """Carry this request from now on; `head_only`: the response to HEAD has no body whatever it says."""
        self._exchange = exchange
        self._head_only = head_only
        self._parser = httptools.HttpResponseParser(self)

    def abandon(self) -> None:
        """The request is no longer wanted: close without telling it anything."""
        self._exchange = None
        self.transport.abort()

    @property
    def usable(self) -> bool:
        return not self.transport.is_closing()

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._exchange is None:
            self.transport.abort()  # nothing was asked: whatever this is belongs to no request
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._lost()
            self.transport.abort()

    def eof_received(self) -> None:
        if self._exchange is not None and not self._framed and self._status:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.forget(self)
        if self._exchange is not None and not self._framed and self._status and exc is None:
            self._end()
        self._lost()

    def pause_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_writable(False)

    def resume_writing(self) -> None:
        if self._exchange is not None:
            self._exchange.upstream_writable(True)

    def _lost(self) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.response_lost()

    # --- httptools

    def on_message_begin(self) -> None:
        self._headers = []
        self._status = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._exchange is None:
            return  # 100 Continue and the like: the client was answered by the router itself
        self._status = status
        self._keep = self._parser.should_keep_alive()
        bodiless = self._head_only or status in (204, 304)
        self._framed = bodiless or any(
            name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self._headers
        )
        self._exchange.response_head(status, self._headers, framed=self._framed)
        if self._head_only:
            self._keep = False  # the parser waits for a body that does not come
            self._end()

    def on_body(self, data: bytes) -> None:
        if self._exchange is not None:
            self._exchange.response_body(data)

    def on_message_complete(self) -> None:
        if self._status:
            self._end()

    def _end(self) -> None:
        exchange, self._exchange = self._exchange, None
        self._status = 0
        if exchange is None:
            return
        if self._keep and self._framed and self.usable:
            self.transport.resume_reading()
            self._pool.put(self)
        else:
            self.transport.close()
        exchange.response_end()


class Pool:
    """Idle connections by address."""

    def __init__(self) -> None:
        self._idle: dict[Address, list[Connection]] = {}
        self._connections: set[Connection] = set()

    def idle(self, address: Address) -> Connection | None:
        """The connection used last, if one is still good."""
        waiting = self._idle.get(address)
        now = asyncio.get_running_loop().time()
        while waiting:
            connection = waiting.pop()
            if connection.usable and now - connection.idle_since < IDLE_S:
                return connection
            connection.transport.abort()
        return None

    async def connect(self, address: Address) -> Connection:
        """A new connection; raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_S):
            _, connection = await loop.create_connection(lambda: Connection(self, address), *address)
        self._connections.add(connection)
        return connection

    def put(self, connection: Connection) -> None:
        waiting = self._idle.setdefault(connection.address, [])
        if len(waiting) >= IDLE_MOST:
            connection.transport.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        waiting.append(connection)

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        waiting = self._idle.get(connection.address)
        if waiting and connection in waiting:
            waiting.remove(connection)

    def keep_only(self, live: set[Address]) -> None:
        """Close idle connections to addresses that stand behind no backend any more."""
        for address in [address for address in self._idle if address not in live]:
            for connection in self._idle.pop(address):
                connection.transport.close()

    def close(self) -> None:
        for connection in list(self._connections):
            connection.transport.abort()
