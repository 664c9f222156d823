"""From the objects in the Kubernetes API to the routing table, the endpoints and the statuses the specification asks for. Pure.

Conditions and reasons: https://gateway-api.sigs.k8s.io/reference/spec/#routeconditionreason and its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lifecycle.emulators.gateway.endpoints import Address
from lifecycle.emulators.gateway.routes import (
    BackendRef,
    Match,
    Table,
    Unsupported,
    filters_of,
    intersection,
    matches_of,
    rule_of,
)

GROUP = "gateway.networking.k8s.io"
Object = dict[str, Any]
Key = tuple[str, str]  # namespace, name


@dataclass
class Objects:
    """Everything watched, by namespace and name."""

    classes: dict[Key, Object] = field(default_factory=dict)
    gateways: dict[Key, Object] = field(default_factory=dict)
    routes: dict[Key, Object] = field(default_factory=dict)
    services: dict[Key, Object] = field(default_factory=dict)
    slices: dict[Key, Object] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """One condition before its time is known."""

    type: str
    status: str
    reason: str
    message: str = ""


@dataclass(frozen=True)
class Parent:
    """What a route's status says about one parent of ours."""

    ref: Object
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Listener:
    """What a Gateway's status says about one listener."""

    name: str
    attached: int
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that follows from the objects at one moment."""

    table: Table
    endpoints: Mapping[tuple[str, str, int], Sequence[Address]]
    parents: Mapping[Key, tuple[Parent, ...]]
    listeners: Mapping[Key, tuple[Listener, ...]]


def plan(objects: Objects, controller: str) -> Plan:
    """Work it all out for the Gateways whose class names this controller."""
    ours = {
        name for (_, name), spec in objects.classes.items() if spec.get("spec", {}).get("controllerName") == controller
    }
    gateways = {key: g for key, g in objects.gateways.items() if g.get("spec", {}).get("gatewayClassName") in ours}
    entries: list[tuple[str, Match]] = []
    parents: dict[Key, tuple[Parent, ...]] = {}
    attached: dict[tuple[Key, str], int] = {}
    backends: dict[tuple[str, str, int], list[Address]] = {}
    for key, route in objects.routes.items():
        found = _attach(route, gateways, objects, attached, backends)
        entries += found.entries
        parents[key] = found.parents
    listeners = {
        key: tuple(
            _listener(listener, attached.get((key, listener["name"]), 0))
            for listener in gateway["spec"].get("listeners") or ()
        )
        for key, gateway in gateways.items()
    }
    return Plan(Table(entries), backends, parents, listeners)


def _listener(spec: Object, attached: int) -> Listener:
    if spec.get("protocol") != "HTTP":
        refused = Condition(
            "Accepted", "False", "UnsupportedProtocol", f"protocol {spec.get('protocol')} is not supported"
        )
        return Listener(
            spec["name"],
            0,
            (refused, Condition("Programmed", "False", "Invalid"), Condition("ResolvedRefs", "True", "ResolvedRefs")),
        )
    good = (Condition("Accepted", "True", "Accepted"), Condition("Programmed", "True", "Programmed"))
    return Listener(spec["name"], attached, (*good, Condition("ResolvedRefs", "True", "ResolvedRefs")))


@dataclass(frozen=True)
class _Attached:
    entries: list[tuple[str, Match]]
    parents: tuple[Parent, ...]


def _attach(
    route: Object,
    gateways: Mapping[Key, Object],
    objects: Objects,
    attached: dict[tuple[Key, str], int],
    backends: dict[tuple[str, str, int], list[Address]],
) -> _Attached:
    namespace = route["metadata"].get("namespace", "")
    refs = [ref for ref in route.get("spec", {}).get("parentRefs") or () if _gateway_of(ref, namespace) in gateways]
    if not refs:
        return _Attached([], ())
    matches, problem, resolved = _compiled(route, objects, backends)
    entries: list[tuple[str, Match]] = []
    parents: list[Parent] = []
    for ref in refs:
        key = _gateway_of(ref, namespace)
        hosts, accepted = _hostnames(ref, route, gateways[key], key[0])
        if problem:
            accepted, hosts = Condition("Accepted", "False", "UnsupportedValue", problem), {}
        for listener, names in hosts.items():
            attached[key, listener] = attached.get((key, listener), 0) + 1
            entries += [(name, match) for name in names for match in matches]
        parents.append(Parent(dict(ref), (accepted, resolved)))
    return _Attached(_once(entries), tuple(parents))


def _once(entries: Iterable[tuple[str, Match]]) -> list[tuple[str, Match]]:
    return list({(name, id(match)): (name, match) for name, match in entries}.values())


def _gateway_of(ref: Object, namespace: str) -> Key:
    if ref.get("group", GROUP) != GROUP or ref.get("kind", "Gateway") != "Gateway":
        return ("", "")
    return (ref.get("namespace") or namespace, ref["name"])


def _hostnames(
    ref: Object, route: Object, gateway: Object, gateway_namespace: str
) -> tuple[dict[str, list[str]], Condition]:
    """The hostnames the route gets on each listener it attaches to, and its Accepted condition."""
    listeners = [
        listener
        for listener in gateway["spec"].get("listeners") or ()
        if listener.get("protocol") == "HTTP"
        and ref.get("sectionName") in (None, "", listener["name"])
        and ref.get("port") in (None, listener.get("port"))
    ]
    if not listeners:
        return {}, Condition("Accepted", "False", "NoMatchingParent", "the Gateway has no such HTTP listener")
    allowed = [listener for listener in listeners if _allows(listener, route, gateway_namespace)]
    if not allowed:
        return {}, Condition(
            "Accepted", "False", "NotAllowedByListeners", "no listener allows routes of this kind and namespace"
        )
    wanted = route.get("spec", {}).get("hostnames") or []
    found = {listener["name"]: intersection(listener.get("hostname") or "", wanted) for listener in allowed}
    found = {name: hosts for name, hosts in found.items() if hosts}
    if not found:
        return {}, Condition(
            "Accepted", "False", "NoMatchingListenerHostname", f"no listener has a hostname in common with {wanted}"
        )
    return found, Condition("Accepted", "True", "Accepted")


def _allows(listener: Object, route: Object, gateway_namespace: str) -> bool:
    rules = listener.get("allowedRoutes") or {}
    kinds = rules.get("kinds")
    if kinds and not any(kind.get("kind") == "HTTPRoute" for kind in kinds):
        return False
    source = (rules.get("namespaces") or {}).get("from", "Same")
    return bool(source == "All") or bool(
        source == "Same" and route["metadata"].get("namespace", "") == gateway_namespace
    )


def _compiled(
    route: Object, objects: Objects, backends: dict[tuple[str, str, int], list[Address]]
) -> tuple[list[Match], str, Condition]:
    """The route's matches, why it cannot be accepted (empty when it can), and its ResolvedRefs condition."""
    meta = route["metadata"]
    name = f"{meta.get('namespace', '')}/{meta['name']}"
    resolved = Condition("ResolvedRefs", "True", "ResolvedRefs")
    rules = []
    try:
        for spec in route.get("spec", {}).get("rules") or [{}]:
            refs = tuple(
                _backend(ref, meta.get("namespace", ""), objects, backends) for ref in spec.get("backendRefs") or ()
            )
            for ref in refs:
                if ref.problem and resolved.status == "True":
                    resolved = Condition("ResolvedRefs", "False", ref.problem, ref.message)
            rules.append(rule_of(name, spec, refs))
        return matches_of(route, rules), "", resolved
    except Unsupported as error:
        return [], f"unsupported: {error}", resolved


def _backend(
    ref: Object, namespace: str, objects: Objects, backends: dict[tuple[str, str, int], list[Address]]
) -> BackendRef:
    target = ref.get("namespace") or namespace
    name, port, weight = ref["name"], int(ref.get("port") or 0), int(ref.get("weight", 1))
    filters = filters_of(ref.get("filters") or ())
    problem, message = "", ""
    service = objects.services.get((target, name))
    if ref.get("group", "") not in ("", "core") or ref.get("kind", "Service") != "Service":
        problem, message = "InvalidKind", f"{ref.get('group', '')}/{ref.get('kind')} is no backend known here"
    elif target != namespace:
        problem, message = (
            "RefNotPermitted",
            f"no ReferenceGrant lets routes of {namespace} refer to services of {target}",
        )
    elif service is None:
        problem, message = "BackendNotFound", f"there is no Service {target}/{name}"
    else:
        ports = [entry for entry in service.get("spec", {}).get("ports") or () if entry.get("port") == port]
        if not ports:
            problem, message = "BackendNotFound", f"Service {target}/{name} has no port {port}"
        else:
            backends[target, name, port] = _addresses(objects, target, name, ports[0].get("name") or "")
    return BackendRef(target, name, port, weight, problem, message, filters)


def _addresses(objects: Objects, namespace: str, service: str, port_name: str) -> list[Address]:
    """Ready endpoints; when there are none, those that end but still serve, as kube-proxy does."""
    ready: list[Address] = []
    ending: list[Address] = []
    for (where, _), found in sorted(objects.slices.items()):
        labels = found["metadata"].get("labels") or {}
        if where != namespace or labels.get("kubernetes.io/service-name") != service:
            continue
        ports = [p["port"] for p in found.get("ports") or () if (p.get("name") or "") == port_name and p.get("port")]
        for endpoint in found.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            here = [(address, port) for address in (endpoint.get("addresses") or ())[:1] for port in ports]
            if conditions.get("ready", True) is not False:
                ready += here
            elif conditions.get("serving") and conditions.get("terminating"):
                ending += here
    return ready or ending
