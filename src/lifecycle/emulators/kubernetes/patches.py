"""The four ways to patch an object; pure functions that leave their arguments as they are.

JSON patch: RFC 6902. Merge patch: RFC 7386. Strategic merge:
https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
Apply: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy (see `apply.py`).
A patch that does not fit raises PatchError.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]


class PatchError(ValueError):
    """The patch is well formed but does not fit the object."""


# ------------------------------------------------------------------ RFC 6902


def json_patch(document: Any, operations: Sequence[Mapping[str, Any]]) -> Any:
    """Apply the operations in order; all of them or, by an error, none."""
    result = copy.deepcopy(document)
    for operation in operations:
        result = _operate(result, operation)
    return result


def _operate(document: Any, operation: Mapping[str, Any]) -> Any:
    path = _pointer(operation.get("path"))
    match operation.get("op"):
        case "add":
            return _add(document, path, copy.deepcopy(_operand(operation)))
        case "remove":
            return _remove(document, path)
        case "replace":
            _find(document, path)
            value = copy.deepcopy(_operand(operation))
            return value if not path else _add(_remove(document, path), path, value)
        case "move":
            origin = _pointer(operation.get("from"))
            if path[: len(origin)] == origin and path != origin:
                raise PatchError("a value cannot be moved into itself")
            value = _find(document, origin)
            return _add(_remove(document, origin), path, value)
        case "copy":
            return _add(document, path, copy.deepcopy(_find(document, _pointer(operation.get("from")))))
        case "test":
            if not _same(_find(document, path), _operand(operation)):
                raise PatchError(f"testing value {operation['path']} failed")
            return document
        case unknown:
            raise PatchError(f"unexpected kind: {unknown}")


def _operand(operation: Mapping[str, Any]) -> Any:
    if "value" not in operation:
        raise PatchError("the operation has no value")
    return operation["value"]


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _pointer(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise PatchError(f"not a JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _index(step: str, *, end: int) -> int:
    if not step.isascii() or not step.isdigit() or (step != "0" and step.startswith("0")) or int(step) >= end:
        raise PatchError(f"no such position: {step}")
    return int(step)


def _find(document: Any, path: list[str]) -> Any:
    at = document
    for step in path:
        if isinstance(at, dict) and step in at:
            at = at[step]
        elif isinstance(at, list):
            at = at[_index(step, end=len(at))]
        else:
            raise PatchError(f"no such path: {step}")
    return at


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _find(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, end=len(parent) + 1), value)
    else:
        raise PatchError(f"no such path: {last}")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    _find(document, path)
    parent, last = _find(document, path[:-1]), path[-1]
    del parent[last if isinstance(parent, dict) else int(last)]
    return document


# ------------------------------------------------------------------ RFC 7386


def merge_patch(document: Any, patch: Any) -> Any:
    """Maps merge, null removes, everything else replaces."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    result = dict(document) if isinstance(document, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


# ------------------------------------------------------------------ strategic merge


def strategic_merge(schema: Schema, document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Merge patch, but lists whose schema names a merge key are merged item by item; understands the `$` directives of kubectl."""
    if patch.get("$patch") == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    result = dict(document)
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    orders: dict[str, list[Any]] = {}
    for key, value in patch.items():
        directive, _, name = key.partition("/")
        if directive == "$setElementOrder":
            orders[name] = value
        elif directive == "$deleteFromPrimitiveList":
            result[name] = [item for item in result.get(name, ()) if item not in value]
        elif not key.startswith("$"):
            _strategic_field(field_schema(schema, key), result, key, value)
    for name, order in orders.items():
        if isinstance(result.get(name), list):
            result[name] = _ordered(field_schema(schema, name).get("x-kubernetes-patch-merge-key"), result[name], order)
    return result


def _strategic_field(schema: Schema, result: dict[str, Any], key: str, value: Any) -> None:
    if value is None or (isinstance(value, Mapping) and value.get("$patch") == "delete"):
        result.pop(key, None)
    elif isinstance(value, Mapping):
        current = result.get(key)
        result[key] = strategic_merge(schema, current if isinstance(current, Mapping) else {}, value)
    elif isinstance(value, list):
        result[key] = _strategic_list(schema, result.get(key) or [], value)
    else:
        result[key] = value


def _strategic_list(schema: Schema, current: list[Any], patch: list[Any]) -> list[Any]:
    directives = [item for item in patch if isinstance(item, Mapping) and item.get("$patch") == "replace"]
    if directives or not schema.get("x-kubernetes-patch-merge"):
        return [copy.deepcopy(item) for item in patch if item not in directives]
    merge_key = schema.get("x-kubernetes-patch-merge-key")
    result = list(current)
    for item in patch:
        if merge_key is None or not isinstance(item, Mapping):
            result += [] if item in result else [item]
            continue
        if merge_key not in item:
            raise PatchError(f"map: {dict(item)} does not contain declared merge key: {merge_key}")
        found = [index for index, old in enumerate(result) if old.get(merge_key) == item[merge_key]]
        if item.get("$patch") == "delete":
            result = [old for index, old in enumerate(result) if index not in found]
        elif found:
            result[found[0]] = strategic_merge(item_schema(schema), result[found[0]], item)
        else:
            result.append(strategic_merge(item_schema(schema), {}, item))
    return result


def _ordered(merge_key: str | None, items: list[Any], order: list[Any]) -> list[Any]:
    def name(item: Any) -> Any:
        return item.get(merge_key) if merge_key and isinstance(item, Mapping) else item

    wanted = [name(item) for item in order]
    named = sorted((item for item in items if name(item) in wanted), key=lambda item: wanted.index(name(item)))
    return named + [item for item in items if name(item) not in wanted]


# ------------------------------------------------------------------ what a schema says of its parts


def field_schema(schema: Schema, name: str) -> Schema:
    """The schema of a field of an object or of a value of a map; empty when nothing is known of it."""
    found = schema.get("properties", {}).get(name)
    if found is None:
        extra = schema.get("additionalProperties")
        found = extra if isinstance(extra, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def item_schema(schema: Schema) -> Schema:
    items = schema.get("items")
    return items if isinstance(items, Mapping) else {}
