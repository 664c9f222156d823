"""The live objects of the kinds that Applications have, kept by watches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from lifecycle.emulators.argocd.manifests import Key, Object, group_of, key_of, tracked_by
from lifecycle.emulators.kube_client import KubeClient, UnknownKind

Changed = Callable[[Object | None, Object | None], None]


class LiveObjects:
    """What the API server holds of each followed kind; `changed(old, new)` is told of every change."""

    def __init__(self, client: KubeClient, changed: Changed) -> None:
        self._client = client
        self._changed = changed
        self._objects: dict[Key, Object] = {}
        self._versions: dict[Key, int] = {}
        self._followers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._listed: dict[tuple[str, str], asyncio.Event] = {}
        self._news = asyncio.Condition()

    async def follow(self, kinds: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Follow each (apiVersion, kind) and wait until it has been listed; returns those the server does not serve."""
        unserved: set[tuple[str, str]] = set()
        for kind in set(kinds):
            try:
                await self._client.kind(*kind)
            except UnknownKind:
                unserved.add(kind)
                continue
            group_kind = (kind[0].rpartition("/")[0], kind[1])
            if group_kind not in self._followers:
                self._listed[group_kind] = asyncio.Event()
                self._followers[group_kind] = asyncio.create_task(self._keep(*kind, self._listed[group_kind]))
        for api_version, kind_name in set(kinds) - unserved:
            group_kind = (api_version.rpartition("/")[0], kind_name)
            listed = asyncio.create_task(self._listed[group_kind].wait())
            await asyncio.wait({listed, self._followers[group_kind]}, return_when=asyncio.FIRST_COMPLETED)
            listed.cancel()
            if self._followers[group_kind].done():
                self._followers.pop(group_kind).result()
        return unserved

    async def close(self) -> None:
        for follower in self._followers.values():
            follower.cancel()
        await asyncio.gather(*self._followers.values(), return_exceptions=True)

    def get(self, key: Key) -> Object | None:
        return self._objects.get(key)

    def of_application(self, application: str) -> list[Object]:
        """All followed objects whose tracking id names the application."""
        return [obj for obj in self._objects.values() if tracked_by(obj) == application]

    def put(self, obj: Object) -> None:
        """Take over what a write returned, so that the next comparison does not race the watch."""
        self._store(obj)

    async def wait_gone(self, keys: Iterable[Key], deadline_s: float) -> list[Key]:
        """Wait until none of the objects is there any more; returns those still there after the deadline."""
        wanted = list(keys)

        def left() -> list[Key]:
            return [key for key in wanted if key in self._objects]

        try:
            async with asyncio.timeout(deadline_s), self._news:
                await self._news.wait_for(lambda: not left())
        except TimeoutError:
            return left()
        return []

    async def _keep(self, api_version: str, kind: str, listed: asyncio.Event) -> None:
        async for event in self._client.follow(api_version, kind):
            if event.type == "LISTED":
                listed.set()
                continue
            obj = {"apiVersion": api_version, "kind": kind, **event.object}
            if event.type == "DELETED":
                old = self._objects.pop(key_of(obj), None)
                self._versions.pop(key_of(obj), None)
                self._changed(old or obj, None)
            else:
                self._store(obj)
            async with self._news:
                self._news.notify_all()

    def _store(self, obj: Object) -> None:
        key = key_of(obj)
        version = int(obj["metadata"].get("resourceVersion") or 0)
        if version < self._versions.get(key, 0):
            return  # the watch is behind a write of our own
        old = self._objects.get(key)
        self._objects[key] = obj
        self._versions[key] = version
        if old is None or version != int(old["metadata"].get("resourceVersion") or 0):
            self._changed(old, obj)


def api_version_of(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def kind_of(obj: Object) -> tuple[str, str]:
    return (str(obj["apiVersion"]), str(obj["kind"]))


__all__ = ["LiveObjects", "api_version_of", "group_of", "kind_of"]
