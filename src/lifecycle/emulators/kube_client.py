"""A small asynchronous client of the Kubernetes API for the emulators' controllers.

Speaks https://kubernetes.io/docs/reference/using-api/api-concepts/: discovery, get, list, create, replace, server-side apply, patches,
delete, and `follow`, the list-and-watch of a controller that survives lost connections and expired resource versions. Objects are plain
JSON dictionaries, as the API has them. Works the same on the emulated API server and on a real cluster.

    async with KubeClient(load_kubeconfig(path)) as client:
        service = await client.get("v1", "Service", "web", "models")
        async for event in client.follow("serving.kserve.io/v1beta1", "InferenceService"):
            ...

The official Python client is synchronous and validates against built-in models; a controller needs neither.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from lifecycle.domain.errors import ServiceError

Object = dict[str, Any]
log = logging.getLogger(__name__)

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_WATCH_SECONDS = 240
_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0


class ApiError(Exception):
    """The API server answered with an error: `code` is the HTTP status, `reason` and `message` are its Status object's."""

    def __init__(self, code: int, reason: str, message: str, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.body = dict(body or {})


class UnknownKind(Exception):
    """The API server serves no such kind (its CustomResourceDefinition is not installed)."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f"the API server serves no {kind} in {api_version}")
        self.api_version = api_version
        self.kind = kind


@dataclass(frozen=True)
class Connection:
    """How to reach an API server. `verify` is what httpx takes: a TLS context, or False for plain HTTP or an unchecked certificate."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    verify: ssl.SSLContext | bool = False


@dataclass(frozen=True)
class Kind:
    """One served kind and its place in the API."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    subresources: frozenset[str] = frozenset()

    @property
    def root(self) -> str:
        return f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection, or of one object when named."""
        parts = [self.root]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


@dataclass(frozen=True)
class ObjectList:
    """A consistent list and the resource version to watch from."""

    items: tuple[Object, ...]
    resource_version: str


@dataclass(frozen=True)
class Event:
    """One change: `type` is ADDED, MODIFIED, DELETED, or LISTED when everything that exists has been told (object is empty then)."""

    type: str
    object: Object = field(default_factory=dict)


def load_kubeconfig(source: Path | str | Mapping[str, Any], context: str = "") -> Connection:
    """Read a kubeconfig (path or parsed): plain HTTP, bearer token, basic auth, client certificate, own or unchecked authority.

    Raises:
        ServiceError: the file is missing or names a context, cluster, user or credential that cannot be used here.
    """
    if isinstance(source, Mapping):
        config: Mapping[str, Any] = source
        folder = Path()
    else:
        path = Path(source)
        if not path.is_file():
            raise ServiceError(f"there is no kubeconfig {path}", fix="set KUBECONFIG to an existing file")
        config = yaml.safe_load(path.read_text()) or {}
        folder = path.parent
    chosen = _named(config, "contexts", "context", context or str(config.get("current-context", "")))
    cluster = _named(config, "clusters", "cluster", str(chosen.get("cluster", "")))
    user = _named(config, "users", "user", str(chosen.get("user", ""))) if chosen.get("user") else {}
    url = str(cluster.get("server", "")).rstrip("/")
    if not url:
        raise ServiceError("the kubeconfig's cluster has no server", fix="give clusters[].cluster.server")
    return Connection(url, _headers(user, folder), _tls(url, cluster, user, folder))


class KubeClient:
    """One client for one event loop; connections are kept alive."""

    def __init__(self, connection: Connection, *, user_agent: str = "lifecycle-emulators") -> None:
        self.connection = connection
        self._http = httpx.AsyncClient(
            base_url=connection.url,
            headers={"User-Agent": user_agent, "Accept": "application/json", **dict(connection.headers)},
            verify=connection.verify,
            timeout=httpx.Timeout(30.0, pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=30),
            trust_env=False,
        )
        self._kinds: dict[tuple[str, str], Kind] = {}

    async def __aenter__(self) -> KubeClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    # --- discovery

    async def kind(self, api_version: str, kind: str) -> Kind:
        """Where a kind is served; raises UnknownKind when it is not (asked anew each time, so a kind installed later is found)."""
        key = (api_version, kind)
        if key not in self._kinds:
            await self._discover(api_version)
        if key not in self._kinds:
            raise UnknownKind(api_version, kind)
        return self._kinds[key]

    async def _discover(self, api_version: str) -> None:
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        try:
            found = await self.request("GET", root)
        except ApiError as error:
            if error.code == 404:
                return
            raise
        resources = found.get("resources", [])
        subresources: dict[str, set[str]] = {}
        for resource in resources:
            plural, _, subresource = resource["name"].partition("/")
            subresources.setdefault(plural, set()).update({subresource} - {""})
        for resource in resources:
            if "/" not in resource["name"]:
                kind = Kind(
                    api_version,
                    resource["kind"],
                    resource["name"],
                    bool(resource.get("namespaced")),
                    frozenset(subresources[resource["name"]]),
                )
                self._kinds[(api_version, kind.kind)] = kind

    # --- reading

    async def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object:
        """One object; raises ApiError with code 404 when there is none."""
        return await self.request("GET", (await self.kind(api_version, kind)).path(namespace, name))

    async def find(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        """One object, None when neither it nor its kind is there."""
        try:
            return await self.get(api_version, kind, name, namespace)
        except UnknownKind:
            return None
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def list(
        self, api_version: str, kind: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        """All objects of a kind, of one namespace or of all; each item carries apiVersion and kind."""
        served = await self.kind(api_version, kind)
        query = _query(labelSelector=label_selector, fieldSelector=field_selector)
        found = await self.request("GET", served.path(namespace), query=query)
        items = tuple({"apiVersion": api_version, "kind": kind, **item} for item in found.get("items") or [])
        return ObjectList(items, found.get("metadata", {}).get("resourceVersion", ""))

    # --- writing

    async def create(self, obj: Object, namespace: str = "", *, dry_run: bool = False) -> Object:
        """Create; raises ApiError with code 409 when it exists."""
        path = (await self.kind(obj["apiVersion"], obj["kind"])).path(_namespace(obj, namespace))
        return await self.request("POST", path, body=obj, query=_query(dryRun="All" if dry_run else ""))

    async def replace(self, obj: Object, namespace: str = "") -> Object:
        """Replace by the object's own name; its resourceVersion, when given, must be current (409 otherwise)."""
        served = await self.kind(obj["apiVersion"], obj["kind"])
        return await self.request("PUT", served.path(_namespace(obj, namespace), _name(obj)), body=obj)

    async def apply(self, obj: Object, *, field_manager: str, namespace: str = "", dry_run: bool = False) -> Object:
        """Server-side apply with force: creates, or owns the given fields and drops those it owned before."""
        path = (await self.kind(obj["apiVersion"], obj["kind"])).path(_namespace(obj, namespace), _name(obj))
        query = _query(fieldManager=field_manager, force="true", dryRun="All" if dry_run else "")
        return await self.request("PATCH", path, body=obj, query=query, content_type=APPLY_PATCH)

    async def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str,
        patch: Any,
        *,
        subresource: str = "",
        content_type: str = MERGE_PATCH,
        dry_run: bool = False,
    ) -> Object:
        """Patch; a merge patch (RFC 7396) unless another content type is given."""
        path = (await self.kind(api_version, kind)).path(namespace, name, subresource)
        query = _query(dryRun="All" if dry_run else "")
        return await self.request("PATCH", path, body=patch, query=query, content_type=content_type)

    async def patch_status(self, api_version: str, kind: str, name: str, namespace: str, status: Object) -> Object:
        """Merge-patch the status: by the status subresource where the kind has one, else on the object itself (such as Application)."""
        served = await self.kind(api_version, kind)
        subresource = "status" if "status" in served.subresources else ""
        return await self.patch(api_version, kind, name, namespace, {"status": status}, subresource=subresource)

    async def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        propagation: str = "Background",
        uid: str = "",
    ) -> bool:
        """Delete; False when there was none. With `uid` only that very object (409 otherwise)."""
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self.request("DELETE", (await self.kind(api_version, kind)).path(namespace, name), body=body)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    # --- watching

    async def follow(
        self, api_version: str, kind: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Event]:
        """All objects and every change from then on, for ever: the list-and-watch of a controller.

        Begins with ADDED for each existing object, then LISTED. A lost connection is taken up where it was; when that version is
        gone (410), everything is listed again: told as ADDED or MODIFIED, what vanished meanwhile as DELETED, then LISTED. A kind that is
        not served, or a server that does not answer, is waited for.
        """
        known: dict[tuple[str, str], Object] = {}
        selector = {"label_selector": label_selector, "field_selector": field_selector}
        version = ""
        pause = _FIRST_RETRY_S
        while True:
            try:
                if not version:
                    listed = await self.list(api_version, kind, namespace, **selector)
                    for event in _changes(known, listed.items):
                        yield event
                    yield Event("LISTED")
                    version = listed.resource_version
                async for event in self._watch(api_version, kind, namespace, version, selector):
                    pause = _FIRST_RETRY_S
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type == "BOOKMARK":
                        continue
                    _remember(known, event)
                    yield event
                pause = _FIRST_RETRY_S  # the server ended it in good order
                continue
            except ApiError as error:
                if error.code == 410:
                    version = ""
                    continue
                log.warning("watching %s %s: %s", api_version, kind, error)
            except UnknownKind:
                version = ""
            except (httpx.TransportError, json.JSONDecodeError) as error:
                log.info("watching %s %s was interrupted: %r", api_version, kind, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_RETRY_S)

    async def _watch(
        self, api_version: str, kind: str, namespace: str, version: str, selector: Mapping[str, str]
    ) -> AsyncIterator[Event]:
        query = _query(
            watch="true",
            resourceVersion=version,
            allowWatchBookmarks="true",
            timeoutSeconds=str(_WATCH_SECONDS),
            labelSelector=selector["label_selector"],
            fieldSelector=selector["field_selector"],
        )
        path = (await self.kind(api_version, kind)).path(namespace)
        timeout = httpx.Timeout(30.0, read=_WATCH_SECONDS + 30.0, pool=None)
        async with self._http.stream("GET", path, params=query, timeout=timeout) as response:
            if response.status_code >= 400:
                await response.aread()
                raise _error(response)
            async for line in response.aiter_lines():
                if not line.strip():
                    continue
                told = json.loads(line)
                found = told["object"]
                if told["type"] == "ERROR":
                    raise ApiError(
                        int(found.get("code", 500)), found.get("reason", ""), found.get("message", ""), found
                    )
                yield Event(told["type"], found)

    # --- one request

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request, the answer's JSON; raises ApiError for an error answer and httpx.TransportError when there is none."""
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": content_type}
        response = await self._http.request(method, path, content=content, params=dict(query or {}), headers=headers)
        if response.status_code >= 400:
            raise _error(response)
        found: Object = response.json()
        return found


def _error(response: httpx.Response) -> ApiError:
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    message = str(body.get("message") or response.text[:500])
    return ApiError(response.status_code, str(body.get("reason") or response.reason_phrase), message, body)


def _changes(known: dict[tuple[str, str], Object], items: tuple[Object, ...]) -> list[Event]:
    """What a new list says against what was known; brings `known` up to date."""
    events: list[Event] = []
    there = {_key(item) for item in items}
    events.extend(Event("DELETED", known.pop(key)) for key in [key for key in known if key not in there])
    for item in items:
        before = known.get(_key(item))
        if before is None:
            events.append(Event("ADDED", item))
        elif before["metadata"].get("resourceVersion") != item["metadata"].get("resourceVersion"):
            events.append(Event("MODIFIED", item))
        known[_key(item)] = item
    return events


def _remember(known: dict[tuple[str, str], Object], event: Event) -> None:
    if event.type == "DELETED":
        known.pop(_key(event.object), None)
    else:
        known[_key(event.object)] = event.object


def _key(obj: Object) -> tuple[str, str]:
    return (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _namespace(obj: Object, namespace: str) -> str:
    return namespace or str(obj.get("metadata", {}).get("namespace", ""))


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _query(**parameters: str) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value}


# --- kubeconfig


def _named(config: Mapping[str, Any], group: str, key: str, name: str) -> Mapping[str, Any]:
    for entry in config.get(group) or []:
        if entry.get("name") == name:
            return entry.get(key) or {}
    raise ServiceError(f"the kubeconfig has no {key} {name!r}", fix=f"correct {group} or current-context")


def _headers(user: Mapping[str, Any], folder: Path) -> tuple[tuple[str, str], ...]:
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = (folder / user["tokenFile"]).read_text().strip()
    if token:
        return (("Authorization", f"Bearer {token}"),)
    if user.get("username"):
        pair = f"{user['username']}:{user.get('password', '')}".encode()
        return (("Authorization", f"Basic {base64.b64encode(pair).decode()}"),)
    if user.get("exec") or user.get("auth-provider"):
        raise ServiceError(
            "the kubeconfig's user signs in by an external program, which is not supported here",
            fix="use a kubeconfig with a token or a client certificate",
        )
    return ()


def _tls(url: str, cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext | bool:
    if not url.startswith("https://"):
        return False
    context = ssl.create_default_context()
    authority = _bytes(cluster, "certificate-authority", folder)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif authority is not None:
        context = ssl.create_default_context(cadata=authority.decode())
    certificate, key = _bytes(user, "client-certificate", folder), _bytes(user, "client-key", folder)
    if certificate is not None and key is not None:
        # the ssl module reads a client certificate from files only
        with tempfile.NamedTemporaryFile(prefix="lifecycle-", suffix=".pem") as pem:
            pem.write(certificate + b"\n" + key)
            pem.flush()
            context.load_cert_chain(pem.name)
    return context


def _bytes(entry: Mapping[str, Any], key: str, folder: Path) -> bytes | None:
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    if entry.get(key):
        return (folder / str(entry[key])).read_bytes()
    return None
