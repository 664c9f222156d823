"""Lists and watches: what they select, their pages, and their events as bytes.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lifecycle.emulators.kubernetes import selectors, views
from lifecycle.emulators.kubernetes.api import Api, as_version
from lifecycle.emulators.kubernetes.resources import Resource
from lifecycle.emulators.kubernetes.status import ApiError, bad_request, expired, too_large_version
from lifecycle.emulators.kubernetes.store import Change, Subscription, TooOld
from lifecycle.emulators.kubernetes.views import View

Node = dict[str, Any]
Matches = Callable[[Node], bool]

_ALWAYS_SELECTABLE = ("metadata.name", "metadata.namespace")
_LONGEST_WATCH = 3600.0


def encode(body: Any) -> bytes:
    """JSON as the server writes it, with a line end."""
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True)
class Selection:
    """Which objects of a resource are meant; an empty namespace means all of them."""

    resource: Resource
    namespace: str
    name: str
    labels: tuple[selectors.Requirement, ...]
    fields: tuple[selectors.FieldRequirement, ...]

    @classmethod
    def parse(cls, resource: Resource, namespace: str, query: Mapping[str, str], name: str = "") -> Selection:
        try:
            labels = selectors.parse_labels(query.get("labelSelector", ""))
            fields = selectors.parse_fields(query.get("fieldSelector", ""))
        except ValueError as mistake:
            raise bad_request(str(mistake)) from mistake
        for requirement in fields:
            path = ".".join(requirement.path)
            if path not in _ALWAYS_SELECTABLE and path not in resource.selectable:
                raise bad_request(_unknown_field(resource, path))
        return cls(resource, namespace, name, labels, fields)

    def matches(self, found: Node) -> bool:
        metadata = found["metadata"]
        if self.namespace and metadata.get("namespace", "") != self.namespace:
            return False
        if self.name and metadata["name"] != self.name:
            return False
        return selectors.labels_match(self.labels, found) and selectors.fields_match(self.fields, found)


def _unknown_field(resource: Resource, path: str) -> str:
    if resource.custom or resource.selectable:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def version_number(text: str) -> int:
    """A resourceVersion of a query; 0 for none."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit():
        words = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(500, "", words)
    return int(text)


# ------------------------------------------------------------------ list


def list_objects(api: Api, selection: Selection, query: Mapping[str, str], view: View) -> Node:
    """One page (or all) of a list."""
    limit = int(query.get("limit") or 0)
    at, start = _page_start(api, query)
    try:
        objects = api.store.list(selection.resource.collection, selection.namespace, at=at)
    except TooOld:
        raise expired() from None
    chosen = [as_version(selection.resource, found) for found in objects if selection.matches(found)]
    if start is not None:
        chosen = [found for found in chosen if _place(found) > start]
    metadata: Node = {"resourceVersion": str(at if at is not None else api.store.version)}
    if limit and len(chosen) > limit:
        rest = len(chosen) - limit
        chosen = chosen[:limit]
        metadata["continue"] = _token(int(metadata["resourceVersion"]), _place(chosen[-1]))
        if not selection.labels and not selection.fields:
            metadata["remainingItemCount"] = rest
    return views.show_list(selection.resource, chosen, metadata, view)


def _page_start(api: Api, query: Mapping[str, str]) -> tuple[int | None, tuple[str, str] | None]:
    """The version to list at (None: now) and the place after which to begin."""
    if token := query.get("continue"):
        return _parse_token(token)
    version = version_number(query.get("resourceVersion", ""))
    if version > api.store.version:
        raise too_large_version(version, api.store.version)
    return (version if query.get("resourceVersionMatch") == "Exact" else None), None


def _place(found: Node) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _token(version: int, place: tuple[str, str]) -> str:
    text = json.dumps(
        {"v": "meta.k8s.io/v1", "rv": version, "start": "/".join(place) + "\u0000"}, separators=(",", ":")
    )
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parse_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        found = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = found["start"].removesuffix("\u0000").partition("/")
        return int(found["rv"]), (namespace, name)
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError) as mistake:
        raise bad_request(f"invalid continue token: continue key is not valid: {mistake}") from mistake


# ------------------------------------------------------------------ watch


@dataclass(frozen=True)
class Watch:
    """One watch as it was asked for."""

    selection: Selection
    view: View
    since: int
    initial: tuple[Node, ...]
    send_initial_end: bool
    bookmarks: bool
    seconds: float


def open_watch(api: Api, selection: Selection, query: Mapping[str, str], view: View) -> Watch:
    """Decide where the watch begins; raises for a malformed version."""
    version = version_number(query.get("resourceVersion", ""))
    wanted = query.get("sendInitialEvents", "") == "true"
    initial: tuple[Node, ...] = ()
    if wanted or (version == 0 and query.get("sendInitialEvents") != "false"):
        objects = api.store.list(selection.resource.collection, selection.namespace)
        initial = tuple(as_version(selection.resource, found) for found in objects if selection.matches(found))
        version = api.store.version
    bookmarks = query.get("allowWatchBookmarks", "") in ("true", "1")
    seconds = float(query.get("timeoutSeconds") or _LONGEST_WATCH)
    return Watch(selection, view, version or api.store.version, initial, wanted and bookmarks, bookmarks, seconds)


async def events(api: Api, watch: Watch, bookmark_seconds: float) -> AsyncIterator[bytes]:
    """The lines of a watch until its time is over or the client goes away."""
    changed = asyncio.Event()
    resource = watch.selection.resource
    try:
        subscription = api.store.subscribe(resource.collection, watch.since, changed.set)
    except TooOld as problem:
        yield encode({"type": "ERROR", "object": expired(str(problem)).body})
        return
    try:
        for found in watch.initial:
            yield _line("ADDED", resource, found, watch.view)
        if watch.send_initial_end:
            yield _bookmark(watch, watch.since, initial_end=True)
        async for line in _follow(api, watch, subscription, changed, bookmark_seconds):
            yield line
    finally:
        subscription.close()


async def _follow(
    api: Api, watch: Watch, subscription: Subscription, changed: asyncio.Event, bookmark_seconds: float
) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    end = clock() + watch.seconds
    # the last bookmark comes a little before the end, so that the next watch can begin there
    bookmark = min(clock() + bookmark_seconds, max(end - 2.0, clock() + watch.seconds / 2))
    while True:
        changed.clear()
        lines = b"".join(_lines(watch, change) for change in subscription.take())
        if lines:
            yield lines
            continue
        until = min(end, bookmark) if watch.bookmarks else end
        try:
            async with asyncio.timeout(max(0.0, until - clock())):
                await changed.wait()
        except TimeoutError:
            if clock() >= end:
                return
            bookmark = clock() + bookmark_seconds
            yield _bookmark(watch, api.store.version)


def _lines(watch: Watch, change: Change) -> bytes:
    """What one change means to this watch: an event, or nothing. Encoded once for all watches of the same form."""
    before = change.before is not None and watch.selection.matches(change.before)
    after = change.after is not None and watch.selection.matches(change.after)
    if not before and not after:
        return b""
    kind = "MODIFIED" if before and after else "ADDED" if after else "DELETED"
    key = (kind, watch.selection.resource.api_version, watch.view)
    if key not in change.lines:
        change.lines[key] = _line(kind, watch.selection.resource, _seen(change, kind), watch.view)
    return change.lines[key]


def _seen(change: Change, kind: str) -> Node:
    if kind != "DELETED" or change.after is None or change.before is None:
        return change.last
    metadata = {**change.before["metadata"], "resourceVersion": str(change.version)}  # it left the selection
    return {**change.before, "metadata": metadata}


def _line(kind: str, resource: Resource, found: Node, view: View) -> bytes:
    return encode({"type": kind, "object": views.show(resource, as_version(resource, found), view)})


def _bookmark(watch: Watch, version: int, *, initial_end: bool = False) -> bytes:
    resource = watch.selection.resource
    metadata: Node = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    about = {"kind": resource.kind, "apiVersion": resource.api_version}
    return encode({"type": "BOOKMARK", "object": {**about, "metadata": metadata}})
