"""Connections from clients: HTTP/1.1, kept alive, pipelined requests answered in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import httptools

from lifecycle.emulators.gateway.endpoints import Board
from lifecycle.emulators.gateway.proxy import ADMIN, Exchange
from lifecycle.emulators.gateway.upstream import Pool

QUEUE_MOST = 8  # pipelined requests read ahead on one connection


class Client(asyncio.Protocol):
    """One connection from a client."""

    def __init__(self, board: Board, pool: Pool, open_clients: set[Client]) -> None:
        self.board = board
        self.pool = pool
        self.loop = asyncio.get_running_loop()
        self.peer = b""
        self.port = 0
        self._open = open_clients
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._queue: deque[Exchange] = deque()
        self._incoming: Exchange | None = None

    # --- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.peer = str(peer[0]).encode() if peer else b""
        self.port = here[1] if here else 0
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.close()  # a known gap; the request itself was answered or is under way
        except httptools.HttpParserError:
            self.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._open.discard(self)
        self._transport = None
        for exchange in self._queue:
            exchange.cancel()
        self._queue.clear()

    def pause_writing(self) -> None:
        if self._queue:
            self._queue[0].pause_upstream(True)

    def resume_writing(self) -> None:
        if self._queue:
            self._queue[0].pause_upstream(False)

    # --- httptools

    def on_message_begin(self) -> None:
        self._incoming = Exchange(self)

    def on_url(self, url: bytes) -> None:
        if self._incoming is not None:
            self._incoming.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._incoming is not None:
            self._incoming.headers.append((name, value))

    def on_headers_complete(self) -> None:
        exchange = self._incoming
        if exchange is None:
            return
        exchange.method = self._parser.get_method()
        exchange.keep_alive = self._parser.should_keep_alive()
        exchange.http_1_0 = self._parser.get_http_version() == "1.0"
        exchange.headers_complete()
        if not exchange.has_body:
            exchange.received = True
        self._queue.append(exchange)
        if len(self._queue) == 1:
            exchange.start()
        elif len(self._queue) >= QUEUE_MOST:
            self.read(False)

    def on_body(self, data: bytes) -> None:
        if self._incoming is not None:
            self._incoming.body(data)

    def on_message_complete(self) -> None:
        exchange, self._incoming = self._incoming, None
        if exchange is not None:
            exchange.complete()

    # --- for the exchanges

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def read(self, wanted: bool) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading() if wanted else self._transport.pause_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def admin(self, exchange: Exchange) -> bool:
        return exchange.url.startswith(ADMIN.encode())

    def finished(self, exchange: Exchange, *, close: bool) -> None:
        """The exchange at the head is answered; the next one starts."""
        if self._queue and self._queue[0] is exchange:
            self._queue.popleft()
        if close:
            self.close()
        elif self._queue:
            self.read(True)
            self.loop.call_soon(self._queue[0].start)
        else:
            self.read(True)
