"""Gateway API v1: GatewayClass, Gateway, HTTPRoute, and the rules their definitions state in CEL.

https://gateway-api.sigs.k8s.io/reference/spec/ (release 1.4, standard channel)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lifecycle.emulators.kubernetes.definitions import AGE, Column, Definition, Node, root
from lifecycle.emulators.kubernetes.status import Cause
from lifecycle.emulators.kubernetes.types import ANYTHING, CONDITIONS, array, integer, mapping, named, obj, text

GROUP = "gateway.networking.k8s.io"
ATOMIC = {"x-kubernetes-list-type": "atomic"}

_DOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_CONTROLLER = text(minLength=1, maxLength=253, pattern=rf"^{_DOMAIN}\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$")
_GROUP = {"type": "string", "maxLength": 253, "pattern": rf"^$|^{_DOMAIN}$"}
_KIND = {"type": "string", "minLength": 1, "maxLength": 63, "pattern": r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"}
_NAME = text(minLength=1, maxLength=253)
_NAMESPACE = text(minLength=1, maxLength=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
_SECTION = text(minLength=1, maxLength=253, pattern=rf"^{_DOMAIN}$")
_HOSTNAME = text(minLength=1, maxLength=253, pattern=rf"^(\*\.)?{_DOMAIN}$")
_PRECISE_HOSTNAME = text(minLength=1, maxLength=253, pattern=rf"^{_DOMAIN}$")
_PORT = integer(1, 65535)
_DURATION = text(pattern=r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")
_HEADER = text(minLength=1, maxLength=256, pattern=r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$")


def _pending(*types: str) -> list[Node]:
    common = {"status": "Unknown", "reason": "Pending", "message": "Waiting for controller"}
    return [{**common, "type": kind, "lastTransitionTime": "1970-01-01T00:00:00Z"} for kind in types]


def _reference(kind: str, *, group: str = "", **more: Node) -> Node:
    fields = {
        "group": {**_GROUP, "default": group},
        "kind": {**_KIND, "default": kind},
        "name": _NAME,
        "namespace": _NAMESPACE,
        "port": _PORT,
    }
    return obj({**fields, **more}, "name")


_PARENT = _reference("Gateway", group=GROUP, sectionName=_SECTION)
_TYPED = obj({"group": _GROUP, "kind": _KIND, "name": _NAME}, "group", "kind", "name")
_HEADERS = array(
    obj({"name": _HEADER, "value": text(minLength=1, maxLength=4096)}, "name", "value"), "name", maxItems=16
)
_HEADER_FILTER = obj({"set": _HEADERS, "add": _HEADERS, "remove": array(text(), maxItems=16)})
_FRACTION = obj({"numerator": integer(0), "denominator": integer(1, default=100)}, "numerator")
_PATH_MODIFIER = obj(
    {
        "type": text(enum=["ReplaceFullPath", "ReplacePrefixMatch"]),
        "replaceFullPath": text(maxLength=1024),
        "replacePrefixMatch": text(maxLength=1024),
    },
    "type",
)
_FILTER_FIELDS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestMirror": "requestMirror",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "ExtensionRef": "extensionRef",
}
_FILTERS = array(
    obj(
        {
            "type": text(enum=list(_FILTER_FIELDS)),
            "requestHeaderModifier": _HEADER_FILTER,
            "responseHeaderModifier": _HEADER_FILTER,
            "requestMirror": obj(
                {"backendRef": _reference("Service"), "percent": integer(0, 100), "fraction": _FRACTION}, "backendRef"
            ),
            "requestRedirect": obj(
                {
                    "scheme": text(enum=["http", "https"]),
                    "hostname": _PRECISE_HOSTNAME,
                    "path": _PATH_MODIFIER,
                    "port": _PORT,
                    "statusCode": integer(enum=[301, 302], default=302),
                }
            ),
            "urlRewrite": obj({"hostname": _PRECISE_HOSTNAME, "path": _PATH_MODIFIER}),
            "extensionRef": _TYPED,
        },
        "type",
    ),
    maxItems=16,
    **ATOMIC,
)
_ROOT_PATH = {"type": "PathPrefix", "value": "/"}


def _values(limit: int) -> Node:
    kind = text(enum=["Exact", "RegularExpression"], default="Exact")
    item = obj({"name": _HEADER, "type": kind, "value": text(minLength=1, maxLength=limit)}, "name", "value")
    return array(item, "name", maxItems=16)


_MATCH = obj(
    {
        "path": obj(
            {
                "type": text(enum=["Exact", "PathPrefix", "RegularExpression"], default="PathPrefix"),
                "value": text(maxLength=1024, default="/"),
            },
            default=_ROOT_PATH,
        ),
        "headers": _values(4096),
        "queryParams": _values(1024),
        "method": text(enum=["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]),
    }
)
_RULE = obj(
    {
        "name": _SECTION,
        "matches": array(_MATCH, maxItems=64, default=[{"path": _ROOT_PATH}], **ATOMIC),
        "filters": _FILTERS,
        "backendRefs": array(
            _reference("Service", weight=integer(0, 1_000_000, default=1), filters=_FILTERS), maxItems=16, **ATOMIC
        ),
        "timeouts": obj({"request": _DURATION, "backendRequest": _DURATION}),
    }
)
_ROUTE = root(
    obj(
        {
            "parentRefs": array(_PARENT, maxItems=32, **ATOMIC),
            "hostnames": array(_HOSTNAME, maxItems=16, **ATOMIC),
            "rules": array(_RULE, maxItems=16, default=[{"matches": [{"path": _ROOT_PATH}]}], **ATOMIC),
        }
    ),
    obj(
        {
            "parents": array(
                obj(
                    {"parentRef": _PARENT, "controllerName": _CONTROLLER, "conditions": {**CONDITIONS, "minItems": 1}},
                    "conditions",
                    "controllerName",
                    "parentRef",
                ),
                maxItems=32,
                **ATOMIC,
            )
        },
        "parents",
    ),
    "spec",
)

_ROUTE_KINDS = array(obj({"group": {**_GROUP, "default": GROUP}, "kind": _KIND}, "kind"), maxItems=8, **ATOMIC)
_FROM = obj({"from": text(enum=["All", "Selector", "Same"], default="Same"), "selector": named("LabelSelector")})
_LISTENER = obj(
    {
        "name": _SECTION,
        "hostname": _HOSTNAME,
        "port": _PORT,
        "protocol": text(minLength=1, maxLength=255),
        "tls": obj(
            {
                "mode": text(enum=["Terminate", "Passthrough"], default="Terminate"),
                "certificateRefs": array(_reference("Secret"), maxItems=64, **ATOMIC),
                "options": mapping(text(maxLength=4096)),
            }
        ),
        "allowedRoutes": obj(
            {"kinds": _ROUTE_KINDS, "namespaces": {**_FROM, "default": {"from": "Same"}}},
            default={"namespaces": {"from": "Same"}},
        ),
    },
    "name",
    "port",
    "protocol",
)
_ADDRESS_TYPE = text(minLength=1, maxLength=253, default="IPAddress")
_LISTENER_STATUS = obj(
    {"name": _SECTION, "attachedRoutes": integer(), "supportedKinds": _ROUTE_KINDS, "conditions": CONDITIONS},
    "attachedRoutes",
    "conditions",
    "name",
    "supportedKinds",
)
_GATEWAY = root(
    obj(
        {
            "gatewayClassName": _NAME,
            "listeners": array(_LISTENER, "name", minItems=1, maxItems=64),
            "addresses": array(obj({"type": _ADDRESS_TYPE, "value": text(maxLength=253)}), maxItems=16, **ATOMIC),
            "infrastructure": obj({"annotations": mapping(text()), "labels": mapping(text()), "parametersRef": _TYPED}),
            "allowedListeners": ANYTHING,
            "tls": ANYTHING,
        },
        "gatewayClassName",
        "listeners",
    ),
    obj(
        {
            "addresses": array(
                obj({"type": _ADDRESS_TYPE, "value": text(minLength=1, maxLength=253)}, "value"), maxItems=16, **ATOMIC
            ),
            "conditions": {**CONDITIONS, "default": _pending("Accepted", "Programmed")},
            "listeners": array(_LISTENER_STATUS, "name", maxItems=64),
        },
        default={"conditions": _pending("Accepted", "Programmed")},
    ),
    "spec",
)
_CLASS = root(
    obj(
        {
            "controllerName": _CONTROLLER,
            "description": text(maxLength=64),
            "parametersRef": obj({**_TYPED["properties"], "namespace": _NAMESPACE}, "group", "kind", "name"),
        },
        "controllerName",
    ),
    obj(
        {
            "conditions": {**CONDITIONS, "default": _pending("Accepted")},
            "supportedFeatures": array(obj({"name": text()}, "name"), "name", maxItems=64),
        },
        default={"conditions": _pending("Accepted")},
    ),
    "spec",
)


def _condition(kind: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].status'


_COMMON: dict[str, Any] = {
    "versions": ("v1", "v1beta1"),
    "categories": ["gateway-api"],
    "status_subresource": True,
}

DEFINITIONS = (
    Definition(
        GROUP,
        "GatewayClass",
        "gatewayclasses",
        schema=_CLASS,
        namespaced=False,
        short_names=["gc"],
        columns=(
            Column("Controller", "string", ".spec.controllerName"),
            Column("Accepted", "string", _condition("Accepted")),
            AGE,
            Column("Description", "string", ".spec.description", 1),
        ),
        **_COMMON,
    ),
    Definition(
        GROUP,
        "Gateway",
        "gateways",
        schema=_GATEWAY,
        short_names=["gtw"],
        columns=(
            Column("Class", "string", ".spec.gatewayClassName"),
            Column("Address", "string", ".status.addresses[*].value"),
            Column("Programmed", "string", _condition("Programmed")),
            AGE,
        ),
        **_COMMON,
    ),
    Definition(
        GROUP,
        "HTTPRoute",
        "httproutes",
        schema=_ROUTE,
        columns=(Column("Hostnames", "string", ".spec.hostnames"), AGE),
        **_COMMON,
    ),
)


# ------------------------------------------------------------------ what the definitions say in CEL


def route_rules(new: Node, old: Node | None) -> Iterator[Cause]:  # noqa: ARG001 - one signature for all kinds
    """Backends that are Services need a port, paths start with a slash, a filter carries what its type says."""
    for number, rule in enumerate(new.get("spec", {}).get("rules", ())):
        path = f"spec.rules[{number}]"
        for index, backend in enumerate(rule.get("backendRefs", ())):
            here = f"{path}.backendRefs[{index}]"
            if not backend.get("group") and backend.get("kind") == "Service" and "port" not in backend:
                yield Cause(here, 'Invalid value: "object": Must have port for Service reference')
            yield from _filter_rules(backend.get("filters", ()), f"{here}.filters")
        yield from _filter_rules(rule.get("filters", ()), f"{path}.filters")
        for index, match in enumerate(rule.get("matches", ())):
            yield from _path_rules(match.get("path", {}), f"{path}.matches[{index}].path")
        if rule.get("backendRefs") and any("requestRedirect" in part for part in rule.get("filters", ())):
            words = "RequestRedirect filter must not be used together with backendRefs"
            yield Cause(path, f'Invalid value: "object": {words}')


def _path_rules(path: Node, where: str) -> Iterator[Cause]:
    if path.get("type") in ("Exact", "PathPrefix") and not path.get("value", "/").startswith("/"):
        words = "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']"
        yield Cause(where, f'Invalid value: "object": {words}')


def _filter_rules(filters: Any, where: str) -> Iterator[Cause]:
    for index, part in enumerate(filters):
        for kind, field in _FILTER_FIELDS.items():
            if kind == part.get("type") and field not in part:
                words = f"filter.{field} must be specified for {kind} filter.type"
            elif kind != part.get("type") and field in part:
                words = f"filter.{field} must be nil if the filter.type is not {kind}"
            else:
                continue
            yield Cause(f"{where}[{index}]", f'Invalid value: "object": {words}')


def class_rules(new: Node, old: Node | None) -> Iterator[Cause]:
    """The controller of a class is chosen once."""
    if old is not None and old["spec"].get("controllerName") != new["spec"].get("controllerName"):
        yield Cause("spec.controllerName", 'Invalid value: "string": Value is immutable')


RULES = {"HTTPRoute": route_rules, "GatewayClass": class_rules}
