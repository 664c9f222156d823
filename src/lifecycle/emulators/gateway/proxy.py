"""One request on its way through the proxy: routed, sent to an endpoint, answered; bodies are streamed both ways."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from lifecycle.emulators.gateway.endpoints import Address
from lifecycle.emulators.gateway.routes import BackendRef, Match
from lifecycle.emulators.gateway.upstream import Connection, Header

if TYPE_CHECKING:
    from lifecycle.emulators.gateway.clients import Client

ADMIN = "/-/gateway/"
HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


class Exchange:
    """One request and its response."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.url = b""
        self.method = b""
        self.headers: list[Header] = []
        self.keep_alive = True
        self.http_1_0 = False
        self.has_body = False
        self.chunked = False
        self.received = False  # the whole request is here
        self.done = False
        self._started = False  # the response head was written
        self._body: list[bytes] = []
        self._upstream: Connection | None = None
        self._match: Match | None = None
        self._backend: BackendRef | None = None
        self._response_chunked = False
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None

    # --- the request

    def headers_complete(self) -> None:
        for name, value in self.headers:
            lower = name.lower()
            if lower == b"content-length":
                self.has_body = value.strip() != b"0"
            elif lower == b"transfer-encoding":
                self.has_body = self.chunked = True
            elif lower == b"expect" and value.lower() == b"100-continue":
                self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def start(self) -> None:
        """Find out where it goes; called when it is the connection's first unanswered request."""
        if self.done:
            return
        target = self.url.decode("latin-1")
        path, _, query = target.partition("?")
        if path.startswith(ADMIN):
            self._admin(path)
            return
        given = self._given_headers()
        host = (
            given.get("host", "").rsplit(":", 1)[0].lower()
            if not given.get("host", "").endswith("]")
            else given["host"].lower()
        )
        board = self._client.board
        match = board.table.find(host, self.method.decode("latin-1"), path, query, given)
        if match is None:
            self.answer(404, f"no route for {host}{path}")
            return
        self._match = match
        if match.rule.filters.redirect is not None:
            self._redirect(host, path, query)
            return
        if match.rule.request_timeout_s is not None:
            self._timer = self._client.loop.call_later(match.rule.request_timeout_s, self._timed_out)
        backend = match.rule.choose(board.draw)
        if backend is None:
            self.answer(500, f"route {match.rule.route} has no backend with a weight")
            return
        self._backend = backend
        if backend.problem:
            self.answer(500, f"backend {backend.label} of route {match.rule.route}: {backend.message}")
            return
        addresses = board.addresses(backend)
        if not addresses:
            self.answer(503, f"backend {backend.label} has no ready endpoints")
            return
        connection = self._client.pool.idle(addresses[0])
        if connection is not None:
            self._send(connection, host, path, query)
        else:
            self._connecting = asyncio.create_task(self._connect(addresses, host, path, query))

    def _given_headers(self) -> dict[str, str]:
        given: dict[str, str] = {}
        for raw_name, raw_value in self.headers:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            given[name] = f"{given[name]},{value}" if name in given else value
        return given

    async def _connect(self, addresses: list[Address], host: str, path: str, query: str) -> None:
        """Try the endpoints in turn: one that is going away refuses, the next takes the request."""
        errors = []
        for address in addresses:
            connection = self._client.pool.idle(address)
            try:
                connection = connection or await self._client.pool.connect(address)
            except (OSError, TimeoutError) as error:
                errors.append(f"{address[0]}:{address[1]} {type(error).__name__}")
                continue
            if self.done:
                self._client.pool.put(connection)
                return
            self._send(connection, host, path, query)
            return
        if not self.done:
            self.answer(
                503,
                f"no endpoint of {self._backend.label if self._backend else ''} takes connections: {', '.join(errors)}",
            )

    def _send(self, connection: Connection, host: str, path: str, query: str) -> None:
        assert self._match is not None
        self._upstream = connection
        connection.begin(self, head_only=self.method == b"HEAD")
        if self._match.rule.backend_timeout_s is not None and self._timer is None:
            self._timer = self._client.loop.call_later(self._match.rule.backend_timeout_s, self._timed_out)
        connection.transport.write(self._head(host, path, query) + b"".join(self._framed(data) for data in self._body))
        self._body.clear()
        if self.received and self.chunked:
            connection.transport.write(b"0\r\n\r\n")

    def _head(self, host: str, path: str, query: str) -> bytes:
        assert self._match is not None
        assert self._backend is not None
        rule, filters = self._match.rule, self._match.rule.filters
        target = self.url
        if filters.rewrite_path is not None:
            prefix = self._match.path if self._match.path_kind == "PathPrefix" else ""
            target = _target(filters.rewrite_path.apply(path, prefix), query)
        headers = [(n, v) for n, v in self.headers if n.lower() not in HOP_BY_HOP and n.lower() != b"expect"]
        if filters.rewrite_hostname:
            headers = [(n, v) for n, v in headers if n.lower() != b"host"]
            headers.insert(0, (b"Host", filters.rewrite_hostname.encode("latin-1")))
        headers += [
            (b"X-Forwarded-For", self._client.peer),
            (b"X-Forwarded-Proto", b"http"),
            (b"X-Forwarded-Host", host.encode("latin-1")),
        ]
        headers = rule.filters.request_headers.apply(headers)
        headers = self._backend.filters.request_headers.apply(headers)
        if self.chunked:
            headers.append((b"Transfer-Encoding", b"chunked"))
        lines = [
            self.method + b" " + target + b" HTTP/1.1",
            *(name + b": " + value for name, value in headers),
            b"",
            b"",
        ]
        return b"\r\n".join(lines)

    def body(self, data: bytes) -> None:
        if self.done:
            return
        if self._upstream is None:
            self._body.append(data)
        else:
            self._upstream.transport.write(self._framed(data))

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data

    def complete(self) -> None:
        self.received = True
        if self.chunked and self._upstream is not None and not self.done:
            self._upstream.transport.write(b"0\r\n\r\n")

    # --- the response

    def response_head(self, status: int, headers: list[Header], *, framed: bool) -> None:
        assert self._match is not None
        assert self._backend is not None
        self._client.board.count(self._match.rule.route, self._backend.label, status)
        chunked = not framed or any(n.lower() == b"transfer-encoding" for n, _ in headers)
        kept = [(n, v) for n, v in headers if n.lower() not in HOP_BY_HOP]
        kept = self._match.rule.filters.response_headers.apply(kept)
        kept = self._backend.filters.response_headers.apply(kept)
        self._response_chunked = chunked and not self.http_1_0 and self.method != b"HEAD"
        if self._response_chunked:
            kept.append((b"Transfer-Encoding", b"chunked"))
        elif chunked:
            self.keep_alive = False
        self._write_head(status, kept)

    def _write_head(self, status: int, headers: list[Header]) -> None:
        self._started = True
        if not (self.keep_alive and self.received):
            # an answer before the request was read to its end: what follows on this connection could not be told apart
            self.keep_alive = self.keep_alive and self.received
            headers.append((b"Connection", b"close"))
        elif self.http_1_0:
            headers.append((b"Connection", b"keep-alive"))
        try:
            phrase = HTTPStatus(status).phrase.encode()
        except ValueError:
            phrase = b""
        lines = [b"HTTP/1.1 %d %b" % (status, phrase), *(name + b": " + value for name, value in headers), b"", b""]
        self._client.write(b"\r\n".join(lines))

    def response_body(self, data: bytes) -> None:
        self._client.write(b"%x\r\n%b\r\n" % (len(data), data) if self._response_chunked else data)

    def response_end(self) -> None:
        if self._response_chunked:
            self._client.write(b"0\r\n\r\n")
        self._upstream = None
        self._finish()

    def response_lost(self) -> None:
        self._upstream = None
        if self._started:
            self._finish(broken=True)  # half a response was passed on: only a closed connection tells the client
        else:
            label = self._backend.label if self._backend is not None else ""
            self.answer(502, f"backend {label} ended the connection without an answer")

    def upstream_writable(self, writable: bool) -> None:
        self._client.read(writable)

    def answer(
        self, status: int, message: str, headers: list[Header] | None = None, content: bytes | None = None
    ) -> None:
        """Answer instead of a backend."""
        if not self._client.admin(self):
            route = self._match.rule.route if self._match is not None else ""
            self._client.board.count(route, self._backend.label if self._backend is not None else "", status)
        body = content if content is not None else message.encode() + b"\n"
        if not self.received and not self.has_body:
            self.received = True
        self._write_head(
            status,
            [(b"Content-Type", b"text/plain; charset=utf-8"), (b"Content-Length", b"%d" % len(body)), *(headers or [])],
        )
        if self.method != b"HEAD":
            self._client.write(body)
        self._finish()

    def _admin(self, path: str) -> None:
        if path == ADMIN + "metrics":
            self.answer(200, "", content=self._client.board.metrics())
        elif path == ADMIN + "healthz":
            self.answer(
                200 if self._client.board.synced else 503, "ok" if self._client.board.synced else "not synced yet"
            )
        else:
            self.answer(404, "known here: metrics, healthz")

    def _redirect(self, host: str, path: str, query: str) -> None:
        assert self._match is not None
        redirect = self._match.rule.filters.redirect
        assert redirect is not None
        if redirect.path is not None:
            path = redirect.path.apply(path, self._match.path if self._match.path_kind == "PathPrefix" else "")
        scheme = redirect.scheme or "http"
        port = redirect.port if redirect.port is not None else (None if redirect.scheme else self._client.port)
        shown = "" if port is None or (scheme, port) in (("http", 80), ("https", 443)) else f":{port}"
        location = f"{scheme}://{redirect.hostname or host}{shown}{_target(path, query).decode('latin-1')}"
        changed = self._match.rule.filters.response_headers.apply([(b"Location", location.encode("latin-1"))])
        self.answer(redirect.status, "", headers=changed, content=b"")

    def _timed_out(self) -> None:
        if self.done or self._started:
            return
        self._drop_upstream()
        self.answer(504, "the backend did not answer in the time the route gives it")

    def _drop_upstream(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abandon()

    def cancel(self) -> None:
        """The client is gone."""
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        self._drop_upstream()

    def pause_upstream(self, paused: bool) -> None:
        if self._upstream is not None and self._upstream.usable:
            transport = self._upstream.transport
            transport.pause_reading() if paused else transport.resume_reading()

    def _finish(self, *, broken: bool = False) -> None:
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        if not self.received and self._upstream is not None:
            self._drop_upstream()
        self._client.finished(self, close=broken or not self.keep_alive)


def _target(path: str, query: str) -> bytes:
    return (f"{path}?{query}" if query else path).encode("latin-1")
