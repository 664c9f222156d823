"""The table of resources this server serves, and how a CustomResourceDefinition becomes one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lifecycle.emulators.kubernetes import builtins, crd_argocd, crd_gateway, crd_kserve
from lifecycle.emulators.kubernetes.builtins import Complete, Judge
from lifecycle.emulators.kubernetes.definitions import AGE, Column
from lifecycle.emulators.kubernetes.names import LABEL, SERVICE, SUBDOMAIN
from lifecycle.emulators.kubernetes.schema import PRESERVE
from lifecycle.emulators.kubernetes.status import Cause, Subject, required
from lifecycle.emulators.kubernetes.types import ANYTHING, named

Node = dict[str, Any]

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind in one version, and what the server does for it. `group` is empty for the core group."""

    group: str
    version: str
    kind: str
    plural: str
    schema: Node
    namespaced: bool = True
    stored_version: str = ""
    singular: str = ""
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    columns: tuple[Column, ...] = (AGE,)
    subresources: tuple[str, ...] = ()
    counts_generations: bool = False
    custom: bool = False  # defined by a CustomResourceDefinition: other error words, no strategic merge
    unconditional_update: bool = True
    name_rule: str = SUBDOMAIN
    selectable: tuple[str, ...] = ()
    complete: Complete | None = None
    judge: Judge | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def collection(self) -> str:
        """The name of the collection in the store, the same for all versions."""
        return f"{self.plural}.{self.group}"

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    def subject(self, name: str = "") -> Subject:
        """What "not found" and "conflict" errors are about: the plural."""
        return Subject(self.plural, name, self.group)

    def kind_subject(self, name: str = "") -> Subject:
        """What "invalid" errors are about: the kind."""
        return Subject(self.kind, name, self.group)


class Registry:
    """All resources, by group, version and plural."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources: dict[tuple[str, str], dict[str, Resource]] = {}
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> None:
        self._resources.setdefault((resource.group, resource.version), {})[resource.plural] = resource

    def remove(self, group: str, plural: str) -> None:
        for (found, version), resources in list(self._resources.items()):
            if found == group:
                resources.pop(plural, None)
                if not resources:
                    del self._resources[found, version]

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        return self._resources.get((group, version), {}).get(plural)

    def of_kind(self, api_version: str, kind: str) -> Resource | None:
        group, _, version = api_version.rpartition("/")
        found = self._resources.get((group, version), {}).values()
        return next((resource for resource in found if resource.kind == kind), None)

    def of_collection(self, collection: str) -> Resource:
        """The stored version of a collection."""
        plural, _, group = collection.partition(".")
        found = (r for (g, _), rs in self._resources.items() if g == group for p, r in rs.items() if p == plural)
        return next(found)

    def groups(self) -> dict[str, list[str]]:
        """Versions by group name, the preferred one first; the core group has an empty name."""
        found: dict[str, list[str]] = {}
        for group, version in self._resources:
            found.setdefault(group, []).append(version)
        return found

    def in_version(self, group: str, version: str) -> list[Resource]:
        return sorted(self._resources.get((group, version), {}).values(), key=lambda resource: resource.plural)

    def stored(self) -> Iterator[Resource]:
        """Each collection once."""
        for resources in self._resources.values():
            for resource in resources.values():
                if resource.version == (resource.stored_version or resource.version):
                    yield resource

    def is_custom(self, group: str) -> bool:
        """Whether all of a group comes from CustomResourceDefinitions (or nothing is known of it)."""
        return all(r.custom for (g, _), rs in self._resources.items() if g == group for r in rs.values())


def _builtin(kind: str, plural: str, *, group: str = "", version: str = "v1", **more: Any) -> Resource:
    more.setdefault("complete", builtins.COMPLETE.get(kind))
    more.setdefault("judge", builtins.JUDGE.get(kind))
    return Resource(group, version, kind, plural, named(kind), singular=kind.lower(), **more)


_DEFINITION_SCHEMA: Node = {
    "type": "object",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": named("ObjectMeta"),
        "spec": {"type": "object", PRESERVE: True},
        "status": ANYTHING,
    },
}
_EVENT_FIELDS = ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid")


def complete_definition(new: Node, old: Node | None) -> None:
    """Names a definition may leave out."""
    spec = new.setdefault("spec", {})
    spec.setdefault("conversion", {"strategy": "None"})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    if old is None:
        stored = [version.get("name", "") for version in spec.get("versions") or () if version.get("storage")]
        new["status"] = {
            "conditions": None,
            "acceptedNames": {"plural": "", "kind": ""},
            "storedVersions": stored,
        }


def judge_definition(new: Node, _: Node | None) -> Iterator[Cause]:
    spec = new["spec"]
    names = spec["names"]
    if new["metadata"].get("name") != f"{names.get('plural', '')}.{spec.get('group', '')}":
        words = 'must be spec.names.plural+"."+spec.group'
        yield Cause("metadata.name", f'Invalid value: "{new["metadata"].get("name", "")}": {words}')
    for field, value in (("group", spec.get("group")), ("scope", spec.get("scope"))):
        if not value:
            yield required(f"spec.{field}")
    for field in ("plural", "kind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    versions = spec.get("versions") or []
    if len([version for version in versions if version.get("storage")]) != 1:
        words = "must have exactly one version marked as storage version"
        yield Cause("spec.versions", f"Invalid value: {[v.get('name') for v in versions]}: {words}")
    for index, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{index}].schema.openAPIV3Schema", "schemas are required")


def builtin_resources() -> list[Resource]:
    """The kinds the server knows from birth."""
    return [
        _builtin(
            "Namespace", "namespaces", namespaced=False, short_names=("ns",), subresources=("status",), name_rule=LABEL,
            selectable=("status.phase",), columns=(Column("Status", "string", ".status.phase"), AGE),
        ),
        _builtin("ConfigMap", "configmaps", short_names=("cm",)),
        _builtin("Secret", "secrets", selectable=("type",), columns=(Column("Type", "string", ".type"), AGE)),
        _builtin(
            "Service", "services", short_names=("svc",), categories=("all",), subresources=("status",), name_rule=SERVICE,
            selectable=("spec.clusterIP", "spec.type"),
            columns=(Column("Type", "string", ".spec.type"), Column("Cluster-IP", "string", ".spec.clusterIP"), AGE),
        ),
        _builtin("ServiceAccount", "serviceaccounts", short_names=("sa",)),
        _builtin(
            "Event", "events", short_names=("ev",),
            selectable=(*_EVENT_FIELDS, "reason", "reportingComponent", "source", "type"),
            columns=(
                Column("Last Seen", "date", ".lastTimestamp"), Column("Type", "string", ".type"),
                Column("Reason", "string", ".reason"), Column("Message", "string", ".message"),
            ),
        ),
        _builtin(
            "Pod", "pods", short_names=("po",), categories=("all",), subresources=("status",), counts_generations=True,
            selectable=(
                "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase",
                "status.podIP", "status.nominatedNodeName",
            ),
            columns=(Column("Status", "string", ".status.phase"), AGE),
        ),
        _builtin("Endpoints", "endpoints", short_names=("ep",)),
        _builtin(
            "Deployment", "deployments", short_names=("deploy",), subresources=("status", "scale"),
            counts_generations=True, group="apps", categories=("all",),
            columns=(
                Column("Ready", "integer", ".status.readyReplicas"), Column("Desired", "integer", ".spec.replicas"),
                Column("Available", "integer", ".status.availableReplicas"), AGE,
            ),
        ),
        _builtin(
            "EndpointSlice", "endpointslices", group="discovery.k8s.io", counts_generations=True,
            columns=(Column("AddressType", "string", ".addressType"), AGE),
        ),
        _builtin(
            "Lease", "leases", group="coordination.k8s.io", unconditional_update=False,
            columns=(Column("Holder", "string", ".spec.holderIdentity"), AGE),
        ),
        Resource(
            "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", _DEFINITION_SCHEMA,
            namespaced=False, singular="customresourcedefinition", short_names=("crd", "crds"),
            categories=("api-extensions",), subresources=("status",), counts_generations=True,
            unconditional_update=False, complete=complete_definition, judge=judge_definition,
            columns=(Column("Created At", "date", ".metadata.creationTimestamp"),),
        ),
    ]  # fmt: skip


def defined_resources(definition: Node) -> list[Resource]:
    """The resources of a CustomResourceDefinition, the stored version first; the others only if served."""
    spec = definition["spec"]
    names = spec["names"]
    versions = sorted(spec["versions"], key=lambda version: not version.get("storage"))
    found = []
    for version in versions:
        if not version.get("served"):
            continue
        columns = [
            Column(column["name"], column["type"], column["jsonPath"], column.get("priority", 0))
            for column in version.get("additionalPrinterColumns") or ()
        ]
        subresources = version.get("subresources") or {}
        found.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                kind=names["kind"],
                plural=names["plural"],
                schema=_whole(version["schema"]["openAPIV3Schema"]),
                namespaced=spec["scope"] == "Namespaced",
                stored_version=versions[0]["name"],
                singular=names.get("singular", names["kind"].lower()),
                short_names=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                columns=tuple(columns) or (AGE,),
                subresources=("status",) if "status" in subresources else (),
                counts_generations=True,
                custom=True,
                unconditional_update=False,
                judge=crd_gateway.RULES.get(names["kind"]) if spec["group"] == crd_gateway.GROUP else None,
            )
        )
    return found


def _whole(schema: Node) -> Node:
    """The schema with the fields that every object has."""
    common = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": named("ObjectMeta")}
    return {**schema, "properties": {**schema.get("properties", {}), **common}}


def shipped_definitions() -> list[Node]:
    """The CustomResourceDefinitions a cluster of this project has from the start."""
    modules = (crd_argocd, crd_gateway, crd_kserve)
    return [definition.body() for module in modules for definition in module.DEFINITIONS]
