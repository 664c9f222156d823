"""How objects end: finalizers, owner references, namespaces. Everything happens at once, where a cluster has controllers for it.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/ and .../overview/working-with-objects/finalizers/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle.emulators.kubernetes.admission import now
from lifecycle.emulators.kubernetes.store import Key, Store

Node = dict[str, Any]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
NAMESPACES = "namespaces."


class Lifetime:
    """All writes of the server go through here, so that what depends on them follows."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys: dict[str, Key] = {}
        self._dependents: dict[str, set[Key]] = {}
        self._removed: list[Callable[[Key, Node], None]] = []

    def on_removal(self, listener: Callable[[Key, Node], None]) -> None:
        """Call `listener(key, last)` after each removal."""
        self._removed.append(listener)

    def write(self, key: Key, new: Node) -> Node:
        """Store an object, or let it go if it was only waiting for its finalizers; gives what was stored last."""
        old = self._store.get(key)
        written = self._store.put(key, new)
        self._unindex(key, old)
        self._index(key, written)
        metadata = written["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers") and key.resource != NAMESPACES:
            return self._erase(key) or written
        if key.resource == NAMESPACES:
            self._finish_namespace(key.name)
        return self._store.get(key) or written

    def delete(
        self, key: Key, *, policy: str = "Background", grace: int = 0, generations: bool = False
    ) -> tuple[Node, bool]:
        """Take an object away as far as its finalizers allow; gives its last state and whether it is gone.

        `generations`: the kind counts generations, and a deletion is a change of what is wished.
        """
        found = self._store.get(key)
        if found is None:
            raise KeyError(key)
        if key.resource == NAMESPACES:
            return self._delete_namespace(key, found)
        finalizers = [name for name in found["metadata"].get("finalizers") or () if name not in (FOREGROUND, ORPHAN)]
        if policy == "Foreground" and self._blocking(found):
            finalizers.append(FOREGROUND)
        if policy == "Orphan":
            self._orphan(found)
        if not finalizers:
            last = self._erase(key)
            return last or found, True
        marked = self._marked(found, finalizers, grace=grace, generations=generations)
        if marked != found:
            self.write(key, marked)
        if policy == "Foreground":
            for dependent in list(self._dependents.get(found["metadata"]["uid"], ())):
                self._collect(dependent, found["metadata"]["uid"], policy="Foreground")
            self._release(found["metadata"]["uid"])
        after = self._store.get(key)
        return after or marked, after is None

    def collect_if_orphaned(self, key: Key, exists: Callable[[Node], bool]) -> None:
        """Delete a new object whose owners are all long gone; `exists(owner reference)` is asked for each."""
        found = self._store.get(key)
        owners = found["metadata"].get("ownerReferences") if found else None
        if owners and not any(owner["uid"] in self._keys or exists(owner) for owner in owners):
            self.delete(key)

    # -------------------------------------------------------------- owners

    def _index(self, key: Key, found: Node) -> None:
        self._keys[found["metadata"]["uid"]] = key
        for owner in found["metadata"].get("ownerReferences") or ():
            self._dependents.setdefault(owner["uid"], set()).add(key)

    def _unindex(self, key: Key, found: Node | None) -> None:
        if found is None:
            return
        self._keys.pop(found["metadata"]["uid"], None)
        for owner in found["metadata"].get("ownerReferences") or ():
            dependents = self._dependents.get(owner["uid"], set())
            dependents.discard(key)
            if not dependents:
                self._dependents.pop(owner["uid"], None)

    def _marked(self, found: Node, finalizers: list[str], *, grace: int, generations: bool) -> Node:
        metadata = {**found["metadata"], "finalizers": finalizers}
        if "deletionTimestamp" not in metadata:
            metadata |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": grace}
            if generations and "generation" in metadata:
                metadata["generation"] += 1
        return {**found, "metadata": metadata}

    def _erase(self, key: Key) -> Node | None:
        last = self._store.remove(key)
        if last is None:
            return None
        self._unindex(key, last)
        uid = last["metadata"]["uid"]
        for listener in self._removed:
            listener(key, last)
        for dependent in list(self._dependents.get(uid, ())):
            self._collect(dependent, uid, policy="Background")
        for owner in last["metadata"].get("ownerReferences") or ():
            self._release(owner["uid"])
        if key.namespace:
            self._finish_namespace(key.namespace)
        return last

    def _collect(self, key: Key, uid: str, *, policy: str) -> None:
        """An owner is going: its dependent goes too, unless another owner still holds it."""
        found = self._store.get(key)
        if found is None:
            return
        others = [owner for owner in found["metadata"]["ownerReferences"] if owner["uid"] != uid]
        if any(owner["uid"] in self._keys for owner in others):
            self.write(key, {**found, "metadata": {**found["metadata"], "ownerReferences": others}})
        else:
            self.delete(key, policy=policy)

    def _blocking(self, found: Node) -> set[Key]:
        """Dependents that a foreground deletion of their owner waits for."""
        uid = found["metadata"]["uid"]
        blocking = set()
        for key in self._dependents.get(uid, ()):
            dependent = self._store.get(key)
            owners = dependent["metadata"]["ownerReferences"] if dependent else ()
            if any(owner["uid"] == uid and owner.get("blockOwnerDeletion") for owner in owners):
                blocking.add(key)
        return blocking

    def _release(self, uid: str) -> None:
        """Let an owner go whose foreground deletion has nothing left to wait for."""
        key = self._keys.get(uid)
        found = self._store.get(key) if key else None
        if key is None or found is None or FOREGROUND not in (found["metadata"].get("finalizers") or ()):
            return
        if not self._blocking(found):
            left = [name for name in found["metadata"]["finalizers"] if name != FOREGROUND]
            metadata = {key: value for key, value in found["metadata"].items() if key != "finalizers"}
            self.write(key, {**found, "metadata": {**metadata, **({"finalizers": left} if left else {})}})

    def _orphan(self, found: Node) -> None:
        uid = found["metadata"]["uid"]
        for key in list(self._dependents.get(uid, ())):
            dependent = self._store.get(key)
            if dependent is None:
                continue
            left = [owner for owner in dependent["metadata"]["ownerReferences"] if owner["uid"] != uid]
            metadata = {key: value for key, value in dependent["metadata"].items() if key != "ownerReferences"}
            self.write(key, {**dependent, "metadata": {**metadata, **({"ownerReferences": left} if left else {})}})

    # -------------------------------------------------------------- namespaces

    def _delete_namespace(self, key: Key, found: Node) -> tuple[Node, bool]:
        if "deletionTimestamp" not in found["metadata"]:
            metadata = {**found["metadata"], "deletionTimestamp": now()}
            found = self._store.put(key, {**found, "metadata": metadata, "status": {"phase": "Terminating"}})
        for held, _ in list(self._store.everything()):
            if held.namespace == key.name and self._store.get(held) is not None:
                self.delete(held)
        self._finish_namespace(key.name)
        return found, False

    def _finish_namespace(self, name: str) -> None:
        key = Key(NAMESPACES, "", name)
        found = self._store.get(key)
        if found is None or "deletionTimestamp" not in found["metadata"] or found["metadata"].get("finalizers"):
            return
        if not any(held.namespace == name for held, _ in self._store.everything()):
            self._erase(key)
