"""A versioned store of objects with watch fan-out, as etcd and the watch cache are together; no HTTP, no I/O.

Every write takes the next version of one counter. Objects are never changed in place: who writes hands over a new one, who reads must
not touch it. The last `history` changes are kept, so that a watch can start in the past and a page of a list can show the state as it
was when the list began; what lies further back is `TooOld`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]


class TooOld(Exception):
    """The version asked for lies before what the store still remembers."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {asked} ({oldest})")
        self.asked = asked
        self.oldest = oldest


class Stale(Exception):
    """The object is no longer at the version the writer has seen."""


@dataclass(frozen=True)
class Key:
    """An object's place. `resource` names the collection (`plural.group`), `namespace` is empty for cluster-wide kinds."""

    resource: str
    namespace: str
    name: str


@dataclass
class Change:
    """One write: `before` is None for a creation, `after` is None for a removal; `last` is the object as a watcher shall see it."""

    version: int
    key: Key
    before: Object | None
    after: Object | None
    last: Object
    lines: dict[Any, bytes] = field(default_factory=dict)  # what watchers were sent, encoded once for all of them


class Subscription:
    """Changes of one resource since a version: iterate what is pending; `notify` is called once for each new one."""

    def __init__(
        self, close: Callable[[Subscription], None], notify: Callable[[], None], pending: deque[Change]
    ) -> None:
        self._close = close
        self._notify = notify
        self._pending = pending

    def offer(self, change: Change) -> None:
        self._pending.append(change)
        self._notify()

    def take(self) -> Iterator[Change]:
        """The pending changes, oldest first, each once."""
        while self._pending:
            yield self._pending.popleft()

    def close(self) -> None:
        self._close(self)


class Store:
    """Objects by key, their versions, and those who watch them. Not thread-safe: it lives on one event loop."""

    def __init__(self, history: int = 4096) -> None:
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._history: deque[Change] = deque()
        self._limit = history
        self._forgotten = 0  # the last version whose change is no longer in the history
        self._subscriptions: dict[str, list[Subscription]] = {}
        self.version = 1

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key.resource, {}).get((key.namespace, key.name))

    def list(self, resource: str, namespace: str = "", *, at: int | None = None) -> list[Object]:
        """Objects by namespace and name, now or as they were `at` a version; raises TooOld."""
        objects = self._objects.get(resource, {})
        if at is not None and at < self.version:
            objects = self._past(resource, at)
        chosen = (key for key in objects if not namespace or key[0] == namespace)
        return [objects[key] for key in sorted(chosen)]

    def put(self, key: Key, new: Object, *, expected: int | None = None) -> Object:
        """Write an object; sets metadata.resourceVersion. With `expected` only over that version (0: only if absent), else Stale."""
        before = self.get(key)
        if expected is not None and expected != version_of(before):
            raise Stale(key)
        self.version += 1
        after = {**new, "metadata": {**new.get("metadata", {}), "resourceVersion": str(self.version)}}
        self._objects.setdefault(key.resource, {})[key.namespace, key.name] = after
        self._record(Change(self.version, key, before, after, after))
        return after

    def remove(self, key: Key) -> Object | None:
        """Take an object away; gives its last state, with the version of the removal, or None if there is none."""
        before = self._objects.get(key.resource, {}).pop((key.namespace, key.name), None)
        if before is None:
            return None
        self.version += 1
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self.version)}}
        self._record(Change(self.version, key, before, None, last))
        return last

    def subscribe(self, resource: str, since: int, notify: Callable[[], None]) -> Subscription:
        """Changes of a resource after version `since`; raises TooOld when some of them are forgotten."""
        if since < self._forgotten:
            raise TooOld(since, self._forgotten)
        pending = deque(c for c in self._history if c.version > since and c.key.resource == resource)
        subscription = Subscription(self._unsubscribe, notify, pending)
        self._subscriptions.setdefault(resource, []).append(subscription)
        return subscription

    def everything(self) -> Iterator[tuple[Key, Object]]:
        """All objects with their keys; the store may be written to meanwhile."""
        for resource, objects in list(self._objects.items()):
            for (namespace, name), found in list(objects.items()):
                yield Key(resource, namespace, name), found

    def _past(self, resource: str, at: int) -> dict[tuple[str, str], Object]:
        if at < self._forgotten:
            raise TooOld(at, self._forgotten)
        objects = dict(self._objects.get(resource, {}))
        for change in reversed(self._history):
            if change.version <= at:
                break
            if change.key.resource != resource:
                continue
            place = (change.key.namespace, change.key.name)
            if change.before is None:
                objects.pop(place, None)
            else:
                objects[place] = change.before
        return objects

    def _record(self, change: Change) -> None:
        self._history.append(change)
        while len(self._history) > self._limit:
            self._forgotten = self._history.popleft().version
        for subscription in self._subscriptions.get(change.key.resource, ()):
            subscription.offer(change)

    def _unsubscribe(self, subscription: Subscription) -> None:
        for subscriptions in self._subscriptions.values():
            if subscription in subscriptions:
                subscriptions.remove(subscription)


def version_of(found: Object | None) -> int:
    """The version an object was written at; 0 for none."""
    return int(found["metadata"]["resourceVersion"]) if found else 0
