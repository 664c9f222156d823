"""The HTTP side of the API server: `create(config)` gives an emulator that any Kubernetes client can use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from lifecycle.emulators.base import Emulator
from lifecycle.emulators.kubernetes import discovery, paths, reading, views
from lifecycle.emulators.kubernetes.admission import Options, Warnings
from lifecycle.emulators.kubernetes.api import Api
from lifecycle.emulators.kubernetes.resources import Registry, builtin_resources, shipped_definitions
from lifecycle.emulators.kubernetes.status import ApiError, method_not_allowed, no_such_resource, not_found
from lifecycle.emulators.kubernetes.store import Store
from lifecycle.emulators.kubernetes.writing import Writer

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_HEALTH = ("/healthz", "/readyz", "/livez")


@dataclass(frozen=True)
class KubernetesConfig:
    """`history` is how many changes a watch may look back; `namespaces` are there from the start beside the usual ones."""

    history: int = 4096
    bookmark_seconds: float = 60.0
    namespaces: tuple[str, ...] = ()


def create(config: KubernetesConfig) -> Emulator:
    """An empty cluster with the usual namespaces and the definitions of KServe, Argo CD and the Gateway API."""
    api = Api(Store(config.history), Registry(builtin_resources()))
    _furnish(api, config.namespaces)
    server = _Server(api, config.bookmark_seconds)
    app = Starlette(routes=[Route("/{path:path}", server.answer, methods=_METHODS)])
    return Emulator("kubernetes", app)


def _furnish(api: Api, namespaces: tuple[str, ...]) -> None:
    definitions = api.registry.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    namespace = api.registry.find("", "v1", "namespaces")
    if definitions is None or namespace is None:
        raise LookupError("the built-in kinds are not complete")
    for name in ("default", "kube-system", "kube-public", "kube-node-lease", *namespaces):
        api.create(namespace, "", {"metadata": {"name": name}}, Options(), Warnings())
    for definition in shipped_definitions():
        api.create(definitions, "", definition, Options(), Warnings())


class _Server:
    """Answers each request; errors become Status objects."""

    def __init__(self, api: Api, bookmark_seconds: float) -> None:
        self._api = api
        self._writer = Writer(api)
        self._bookmark_seconds = bookmark_seconds

    async def answer(self, request: Request) -> Response:
        warnings = Warnings()
        try:
            target = paths.parse(request.url.path)
            if target is None:
                return self._discovery(request)
            response = await self._resource(request, target, warnings)
        except ApiError as error:
            response = _json(error.body, error.code)
        except views.NotAcceptable as problem:
            about = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
            response = _json({**about, "message": str(problem), "reason": "NotAcceptable", "code": 406}, 406)
        for text in warnings.texts:
            response.headers.append("Warning", f"299 - {json.dumps(text)}")
        return response

    # -------------------------------------------------------------- discovery

    def _discovery(self, request: Request) -> Response:
        path = request.url.path.rstrip("/")
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if path.startswith(_HEALTH):
            return PlainTextResponse("ok")
        body, known = self._document(request, path)
        if body is not None:
            return _json(body)
        if known:
            raise no_such_resource()
        return PlainTextResponse("404 page not found\n", 404)

    def _document(self, request: Request, path: str) -> tuple[Any, bool]:
        """The document at a path, and whether a miss is of a group that is served."""
        registry = self._api.registry
        match path.strip("/").split("/"):
            case [""]:
                groups = [f"/apis/{name}" if name else "/api/v1" for name in registry.groups()]
                return {"paths": ["/api", "/apis", *groups, *_HEALTH, "/openapi/v2", "/openapi/v3", "/version"]}, True
            case ["version"]:
                return discovery.VERSION, True
            case ["api"]:
                return discovery.core_versions(request.url.netloc), True
            case ["apis"]:
                return discovery.group_list(registry), True
            case ["api", version]:
                return discovery.resource_list(registry, "", version), True
            case ["apis", group]:
                return discovery.group(registry, group), False
            case ["apis", group, version]:
                return discovery.resource_list(registry, group, version), not registry.is_custom(group)
            case ["openapi", "v2"]:
                return discovery.openapi_v2(registry), True
            case ["openapi", "v3"]:
                return discovery.openapi_index(registry), True
            case ["openapi", "v3", "api", version]:
                return discovery.openapi(registry, "", version), True
            case ["openapi", "v3", "apis", group, version]:
                return discovery.openapi(registry, group, version), True
            case _:
                return None, False

    # -------------------------------------------------------------- resources

    async def _resource(self, request: Request, target: paths.Target, warnings: Warnings) -> Response:
        resource = self._api.registry.find(target.group, target.version, target.plural)
        if resource is None:
            if self._api.registry.is_custom(target.group):
                return PlainTextResponse("404 page not found\n", 404)
            raise no_such_resource()
        collection_of_all = resource.namespaced and not target.namespaced
        if (target.namespaced and not resource.namespaced) or (collection_of_all and target.name):
            raise no_such_resource()
        if target.subresource and target.subresource not in resource.subresources:
            raise not_found(resource.subject(target.name)) if resource.custom else no_such_resource()
        if resource.kind == "Endpoints":
            warnings.texts.append("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        query = request.query_params
        view = views.choose(request.headers.get("accept", ""), query.get("includeObject", ""))
        if request.method in ("GET", "HEAD"):
            return self._read(resource, target, query, view)
        if collection_of_all and request.method != "DELETE":
            raise method_not_allowed()
        body, code = await self._writer.write(request, resource, target, warnings)
        if body.get("kind") == resource.kind:
            body = views.show(resource, body, view)
        return _json(body, code)

    def _read(self, resource: Any, target: paths.Target, query: Mapping[str, str], view: views.View) -> Response:
        watching = query.get("watch", "") in ("true", "1")
        if target.name and not watching:
            found = self._api.get(resource, target.namespace, target.name)
            if target.subresource == "scale":
                return _json(self._writer.scale_of(found))
            return _json(views.show(resource, found, view))
        selection = reading.Selection.parse(resource, target.namespace, query, target.name)
        if not watching:
            return _json(reading.list_objects(self._api, selection, query, view))
        watch = reading.open_watch(self._api, selection, query, view)
        lines = reading.events(self._api, watch, self._bookmark_seconds)
        return StreamingResponse(lines, media_type="application/json")


def _json(body: Any, code: int = 200) -> Response:
    return Response(reading.encode(body), code, media_type="application/json")
