"""The types of the built-in kinds as schemas, from `builtin_types.json`.

The file holds names and types only, as the server's own OpenAPI document gives them (Kubernetes 1.34, GET /openapi/v3): one entry per
type, one line of notation per field: `string`, `[Container]` a list, `{string}` a map, then `required`, `keys=a,b` (list of type map),
`set` (list of type set), `merge=name` or `merge` (strategic merge by key or as a set).
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from lifecycle.emulators.kubernetes.schema import INT_OR_STRING, PRESERVE

Node = dict[str, Any]

_PRIMITIVES: dict[str, Node] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "object": {"type": "object", PRESERVE: True},
    "Time": {"type": "string", "format": "date-time"},
    "IntOrString": {INT_OR_STRING: True},
    "Quantity": {INT_OR_STRING: True, "format": "quantity"},
}


@functools.cache
def _notation() -> dict[str, dict[str, str]]:
    text = resources.files("lifecycle.emulators.kubernetes").joinpath("builtin_types.json").read_text()
    loaded: dict[str, dict[str, str]] = json.loads(text)
    return loaded


@functools.cache
def named(name: str) -> Node:
    """The schema of a type by its name, such as `PodSpec`. Shared: do not change it."""
    if name in _PRIMITIVES:
        return _PRIMITIVES[name]
    properties, needed = {}, []
    for field, notation in _notation()[name].items():
        expression, *words = notation.split()
        properties[field] = _expression(expression) | _attributes(words)
        if "required" in words:
            needed.append(field)
    return {"type": "object", "properties": properties} | ({"required": needed} if needed else {})


def _expression(text: str) -> Node:
    if text.startswith("["):
        return {"type": "array", "items": _expression(text[1:-1])}
    if text.startswith("{"):
        return {"type": "object", "additionalProperties": _expression(text[1:-1])}
    return named(text)


def _attributes(words: list[str]) -> Node:
    found: Node = {}
    for word in words:
        name, _, value = word.partition("=")
        if name == "keys":
            found |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": value.split(",")}
        elif name == "set":
            found["x-kubernetes-list-type"] = "set"
        elif name == "merge":
            found["x-kubernetes-patch-merge"] = True
            if value:
                found["x-kubernetes-patch-merge-key"] = value
    return found


def fields(name: str) -> dict[str, Node]:
    """The fields of a type, to build another one from."""
    found: dict[str, Node] = named(name)["properties"]
    return dict(found)


# ------------------------------------------------------------------ short words for schemas written by hand


def text(**limits: Any) -> Node:
    """A string; `limits` are maxLength, minLength, pattern, enum, default."""
    return {"type": "string", **limits}


def integer(minimum: int | None = None, maximum: int | None = None, **limits: Any) -> Node:
    bounds = {"minimum": minimum, "maximum": maximum}
    return {"type": "integer", **{key: value for key, value in bounds.items() if value is not None}, **limits}


def obj(properties: dict[str, Node], *needed: str, **more: Any) -> Node:
    """An object with these fields, of which `needed` must be there."""
    return {"type": "object", "properties": properties, **({"required": list(needed)} if needed else {}), **more}


def array(items: Node, *keys: str, **more: Any) -> Node:
    """A list; with `keys`, one of type map."""
    attributes = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)} if keys else {}
    return {"type": "array", "items": items, **attributes, **more}


def mapping(values: Node) -> Node:
    return {"type": "object", "additionalProperties": values}


BOOLEAN: Node = {"type": "boolean"}
ANYTHING: Node = {"type": "object", PRESERVE: True}
CONDITIONS = array(
    obj(
        {
            "type": text(maxLength=316),
            "status": text(enum=["True", "False", "Unknown"]),
            "reason": text(minLength=1, maxLength=1024),
            "message": text(maxLength=32768),
            "lastTransitionTime": text(format="date-time"),
            "observedGeneration": integer(0),
        },
        "lastTransitionTime",
        "message",
        "reason",
        "status",
        "type",
    ),
    "type",
)
