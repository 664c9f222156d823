"""The ASGI application: paths, percent-decoding, error bodies.

Namespaces and names hold slashes and colons, so a client percent-encodes them (`s3%3A%2F%2Flake`). The path is therefore split
before it is decoded: a decoded path could not tell a slash of a name from one of the path.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from lifecycle.emulators.base import Emulator
from lifecycle.emulators.marquez import handlers
from lifecycle.emulators.marquez.calls import Answer, Call
from lifecycle.emulators.marquez.names import ApiError, ConstraintError
from lifecycle.emulators.marquez.store import Store

Scope = dict[str, Any]
Handler = Callable[[Call], Answer]
Segments = tuple[str, ...]


@dataclass(frozen=True)
class MarquezConfig:
    """`name` is what the emulator is called in logs; there is nothing else to set."""

    name: str = "marquez"


@dataclass(frozen=True)
class Route:
    """A method and a path below /api/v1; a segment in braces is a parameter."""

    method: str
    segments: Segments
    handler: Handler


def create(config: MarquezConfig) -> Emulator:
    """An empty Marquez."""
    routes = [Route(method, tuple(path.split("/")), handler) for (method, path), handler in handlers.ROUTES.items()]
    store = Store()

    async def app(scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"Marquez speaks no {scope['type']}")
        request = Request(scope, receive)
        response = await _answer(request, routes, store)
        await response(scope, receive, send)

    return Emulator(config.name, app)


async def _lifespan(receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _answer(request: Request, routes: list[Route], store: Store) -> Response:
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw.split(b"?")[0].decode("ascii", "replace")
    if path == "/ping":
        return PlainTextResponse("pong\n")
    if path == "/healthcheck":
        return JSONResponse({"deadlocks": {"healthy": True}, "marquez": {"healthy": True}})
    try:
        route, parameters = _find(routes, request.method, path)
        body = await _body(request)
        answer = route.handler(Call(store, parameters, QueryParams(request.scope["query_string"]), body))
    except ConstraintError as error:
        return JSONResponse({"errors": error.errors}, 422)
    except ApiError as error:
        return JSONResponse({"code": error.code, "message": error.message}, error.code)
    if answer.body is None:
        return Response(status_code=answer.status)
    return JSONResponse(answer.body, answer.status, headers=dict(answer.headers))


def _find(routes: list[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    if not path.startswith("/api/v1/"):
        raise ApiError(404, "HTTP 404 Not Found")
    segments = path.removeprefix("/api/v1/").rstrip("/").split("/")
    fitting = [route for route in routes if _fits(route.segments, segments)]
    if not fitting:
        raise ApiError(404, "HTTP 404 Not Found")
    for route in fitting:
        if route.method == method:
            pairs = zip(route.segments, segments, strict=True)
            return route, {name[1:-1]: unquote(value) for name, value in pairs if name.startswith("{")}
    raise ApiError(405, "HTTP 405 Method Not Allowed")


def _fits(pattern: Segments, segments: list[str]) -> bool:
    return len(pattern) == len(segments) and all(
        (wanted.startswith("{") and bool(found)) or wanted == found
        for wanted, found in zip(pattern, segments, strict=True)
    )


async def _body(request: Request) -> Any:
    """The request's JSON; None when there is none."""
    data = await request.body()
    if not data:
        return None
    if request.method in ("POST", "PUT") and "json" not in request.headers.get("content-type", "application/json"):
        raise ApiError(415, "HTTP 415 Unsupported Media Type")
    try:
        return json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ApiError(400, "Unable to process JSON") from error
