"""What the server does with a request, apart from HTTP: create, replace, patch, delete, list.

https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lifecycle.emulators.kubernetes import admission
from lifecycle.emulators.kubernetes.admission import Options, Warnings
from lifecycle.emulators.kubernetes.apply import apply_merge, drop_no_longer_applied, fields_of
from lifecycle.emulators.kubernetes.lifetime import NAMESPACES, Lifetime
from lifecycle.emulators.kubernetes.resources import Registry, Resource, defined_resources
from lifecycle.emulators.kubernetes.status import (
    ApiError,
    Cause,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
)
from lifecycle.emulators.kubernetes.store import Key, Store, version_of

Node = dict[str, Any]
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


@dataclass(frozen=True)
class Preconditions:
    """What a deletion insists on; empty means anything."""

    uid: str = ""
    version: str = ""


class Api:
    """The objects of one server and the verbs on them. Results are shared with the store: do not change them."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self._lifetime = Lifetime(store)
        self._lifetime.on_removal(self._forget_definition)
        self._addresses = 10

    # -------------------------------------------------------------- read

    def get(self, resource: Resource, namespace: str, name: str) -> Node:
        found = self.store.get(_key(resource, namespace, name))
        if found is None:
            raise not_found(resource.subject(name))
        return as_version(resource, found)

    # -------------------------------------------------------------- create

    def create(self, resource: Resource, namespace: str, body: Any, options: Options, warnings: Warnings) -> Node:
        new = admission.decode(resource, body, options, warnings)
        asked = new["metadata"].get("namespace") or ""
        if asked and asked != namespace and resource.namespaced:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        if new["metadata"].get("resourceVersion"):
            raise bad_request("resourceVersion should not be set on objects to be created")
        self._namespace_must_live(resource, namespace, new["metadata"].get("name", ""))
        admission.prepare_creation(resource, namespace, new)
        new = admission.complete(resource, new, None)
        admission.judge(resource, new, None)
        name = new["metadata"]["name"]
        key = _key(resource, namespace, name)
        if self.store.get(key) is not None:
            raise already_exists(resource.subject(name))
        if options.dry_run:
            return new
        self._give_address(resource, new)
        written = self._lifetime.write(key, stored(resource, new))
        self._created(resource, key, written)
        return as_version(resource, written)

    def _created(self, resource: Resource, key: Key, written: Node) -> None:
        if resource.kind == "CustomResourceDefinition":
            self._establish(key, written)
        if key.resource == NAMESPACES:
            self._furnish(key.name)
        if written["metadata"].get("ownerReferences"):
            self._lifetime.collect_if_orphaned(key, self._may_exist)

    def _may_exist(self, owner: Node) -> bool:
        """Whether this owner is of a kind not served here, so that nothing can be said of it."""
        return self.registry.of_kind(owner["apiVersion"], owner["kind"]) is None

    def _namespace_must_live(self, resource: Resource, namespace: str, name: str) -> None:
        if not resource.namespaced:
            return
        found = self.store.get(Key(NAMESPACES, "", namespace))
        if found is None:
            raise not_found(self._resource("v1", "Namespace").subject(namespace))
        if "deletionTimestamp" in found["metadata"]:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            subject = resource.subject(name)
            message = f'{subject.qualified} "{name}" is forbidden: {why}'
            cause = Cause("metadata.namespace", f"namespace {namespace} is being terminated", "NamespaceTerminating")
            raise ApiError(403, "Forbidden", message, {**subject.details(), "causes": [cause.body()]})

    def _furnish(self, namespace: str) -> None:
        """What the controllers of a cluster put into every new namespace."""
        options, warnings = Options(), Warnings()
        account = {"metadata": {"name": "default"}}
        bundle = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": ""}}
        self.create(self._resource("v1", "ServiceAccount"), namespace, account, options, warnings)
        self.create(self._resource("v1", "ConfigMap"), namespace, bundle, options, warnings)

    def _resource(self, api_version: str, kind: str) -> Resource:
        found = self.registry.of_kind(api_version, kind)
        if found is None:
            raise LookupError(f"{api_version} {kind} is not served")
        return found

    def _give_address(self, resource: Resource, new: Node) -> None:
        if resource.kind != "Service" or new["spec"]["type"] == "ExternalName" or new["spec"].get("clusterIP"):
            return
        self._addresses += 1
        address = f"10.96.{self._addresses // 250 % 256}.{self._addresses % 250 + 1}"
        new["spec"] |= {"clusterIP": address, "clusterIPs": [address]}

    # -------------------------------------------------------------- definitions

    def _establish(self, key: Key, definition: Node) -> None:
        for resource in defined_resources(definition):
            self.registry.add(resource)
        condition = {"status": "True", "lastTransitionTime": admission.now()}
        accepted = {"type": "NamesAccepted", "reason": "NoConflicts", "message": "no conflicts found"}
        words = "the initial names have been accepted"
        established = {"type": "Established", "reason": "InitialNamesAccepted", "message": words}
        status = {
            **definition["status"],
            "conditions": [condition | accepted, condition | established],
            "acceptedNames": definition["spec"]["names"],
        }
        self._lifetime.write(key, {**definition, "status": status})

    def _redefine(self, definition: Node) -> None:
        spec = definition["spec"]
        self.registry.remove(spec["group"], spec["names"]["plural"])
        for resource in defined_resources(definition):
            self.registry.add(resource)

    def _forget_definition(self, key: Key, last: Node) -> None:
        if key.resource != DEFINITIONS:
            return
        spec = last["spec"]
        collection = f"{spec['names']['plural']}.{spec['group']}"
        for found in self.store.list(collection):
            metadata = found["metadata"]
            self._lifetime.delete(Key(collection, metadata.get("namespace", ""), metadata["name"]))
        self.registry.remove(spec["group"], spec["names"]["plural"])

    # -------------------------------------------------------------- update

    def replace(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Any,
        options: Options,
        warnings: Warnings,
        *,
        subresource: str = "",
    ) -> Node:
        new = admission.decode(resource, body, options, warnings)
        old = self._current(resource, namespace, name, new)
        if not new["metadata"].get("resourceVersion") and not resource.unconditional_update:
            words = "Invalid value: 0: must be specified for an update"
            raise invalid(resource.subject(name), [Cause("metadata.resourceVersion", words)])
        return self._update(resource, old, new, options, subresource)

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Callable[[Node], Any],
        options: Options,
        warnings: Warnings,
        *,
        subresource: str = "",
    ) -> Node:
        """Update an object by a function of its present state."""
        before = self.get(resource, namespace, name)
        new = admission.decode(resource, change(copy.deepcopy(before)), options, warnings, patched=True)
        old = self._current(resource, namespace, name, new)
        return self._update(resource, old, new, options, subresource)

    def apply(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        body: Any,
        options: Options,
        warnings: Warnings,
        *,
        subresource: str = "",
    ) -> tuple[Node, bool]:
        """Server-side apply; gives the object and whether it is new."""
        applied = admission.decode(resource, body, options, warnings)
        asked = applied["metadata"].setdefault("name", name)
        if asked != name:
            raise bad_request(f"the name of the object ({asked}) does not match the name on the URL ({name})")
        if applied["metadata"].get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        old = self.store.get(_key(resource, namespace, name))
        entry = self._managed(resource, applied, options, subresource)
        if old is None:
            if subresource:
                raise not_found(resource.subject(name))
            applied["metadata"]["managedFields"] = [entry]
            return self.create(resource, namespace, applied, options, warnings), True
        live = as_version(resource, old)
        entries = live["metadata"].get("managedFields") or []
        mine = [found for found in entries if _same_manager(found, entry)]
        others = [found for found in entries if not _same_manager(found, entry)]
        before = mine[0]["fieldsV1"] if mine else {}
        if before == entry["fieldsV1"]:
            entry = mine[0]
        merged = apply_merge(resource.schema, copy.deepcopy(live), applied)
        merged = drop_no_longer_applied(resource.schema, merged, before, entry["fieldsV1"])
        merged["metadata"]["managedFields"] = [*others, entry]
        new = admission.decode(resource, merged, Options(field_validation="Ignore"), Warnings(), patched=True)
        current = self._current(resource, namespace, name, new)
        return self._update(resource, current, new, options, subresource), False

    def _managed(self, resource: Resource, applied: Node, options: Options, subresource: str) -> Node:
        about = ("apiVersion", "kind", "metadata")
        owned = fields_of(resource.schema, {key: value for key, value in applied.items() if key not in about})
        metadata = {key: applied["metadata"][key] for key in ("labels", "annotations") if key in applied["metadata"]}
        if metadata:
            owned["f:metadata"] = fields_of(resource.schema["properties"]["metadata"], metadata)
        return {
            "manager": options.manager,
            "operation": "Apply",
            "apiVersion": resource.api_version,
            "time": admission.now(),
            "fieldsType": "FieldsV1",
            "fieldsV1": owned,
            **({"subresource": subresource} if subresource else {}),
        }

    def _current(self, resource: Resource, namespace: str, name: str, new: Node) -> Node:
        """The object to update, if the new one is about it and has seen its version."""
        metadata = new["metadata"]
        if metadata.setdefault("name", name) != name:
            asked = metadata["name"]
            raise bad_request(f"the name of the object ({asked}) does not match the name on the URL ({name})")
        if resource.namespaced and metadata.setdefault("namespace", namespace) != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        old = self.store.get(_key(resource, namespace, name))
        if old is None:
            raise not_found(resource.subject(name))
        uid, found = metadata.get("uid"), old["metadata"]["uid"]
        if uid and uid != found:
            raise conflict(
                resource.subject(name), f"Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"
            )
        version = metadata.get("resourceVersion")
        if version and version not in ("0", old["metadata"]["resourceVersion"]):
            raise conflict(resource.subject(name))
        return old

    def _update(self, resource: Resource, old: Node, new: Node, options: Options, subresource: str) -> Node:
        seen = as_version(resource, old)
        new = admission.prepare_update(resource, new, seen, subresource=subresource)
        new = admission.complete(resource, new, seen)
        admission.judge(resource, new, seen)
        if not admission.changed(seen, new):
            return seen
        admission.count_generation(resource, new, seen)
        if options.dry_run:
            return new
        metadata = new["metadata"]
        self._give_address(resource, new)
        key = _key(resource, metadata.get("namespace", ""), metadata["name"])
        written = self._lifetime.write(key, stored(resource, new))
        if resource.kind == "CustomResourceDefinition" and not subresource:
            self._redefine(written)
        return as_version(resource, written)

    # -------------------------------------------------------------- delete

    def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        policy: str = "Background",
        preconditions: Preconditions | None = None,
        dry_run: bool = False,
    ) -> tuple[Node, bool]:
        """Gives the object's last state and whether it is gone."""
        found = self.get(resource, namespace, name)
        _meets(preconditions or Preconditions(), resource, name, found)
        if dry_run:
            return found, not found["metadata"].get("finalizers")
        last, gone = self._lifetime.delete(
            _key(resource, namespace, name), policy=policy, generations=resource.counts_generations
        )
        return as_version(resource, last), gone


def _meets(preconditions: Preconditions, resource: Resource, name: str, found: Node) -> None:
    metadata = found["metadata"]
    subject = resource.kind_subject(name)
    if preconditions.uid and preconditions.uid != metadata["uid"]:
        raise conflict(
            subject,
            f"the UID in the precondition ({preconditions.uid}) does not match the UID in record ({metadata['uid']}). "
            "The object might have been deleted and then recreated",
        )
    if preconditions.version and preconditions.version != metadata["resourceVersion"]:
        raise conflict(
            subject,
            f"the ResourceVersion in the precondition ({preconditions.version}) does not match the ResourceVersion in "
            f"record ({version_of(found)}). The object might have been modified",
        )


def _same_manager(one: Node, other: Node) -> bool:
    names = ("manager", "operation", "subresource")
    return all(one.get(name) == other.get(name) for name in names)


def _key(resource: Resource, namespace: str, name: str) -> Key:
    return Key(resource.collection, namespace if resource.namespaced else "", name)


def as_version(resource: Resource, found: Node) -> Node:
    """The object as this version of its kind shows it."""
    if found["apiVersion"] == resource.api_version:
        return found
    return {**found, "apiVersion": resource.api_version}


def stored(resource: Resource, new: Node) -> Node:
    """The object as it is stored: in the kind's storage version."""
    version = resource.stored_version or resource.version
    return {**new, "apiVersion": f"{resource.group}/{version}" if resource.group else version}
