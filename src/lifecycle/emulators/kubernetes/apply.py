"""Server-side apply: merge what a manager applies, and take away what it applied before and no longer does.

https://kubernetes.io/docs/reference/using-api/server-side-apply/ ; what a manager owns is written to metadata.managedFields in the
FieldsV1 form (`f:` a field, `k:` a list item by its keys, `v:` a value of a set). Gap: managers never conflict, and only applies own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from lifecycle.emulators.kubernetes.patches import Schema, field_schema, item_schema

Fields = dict[str, Any]


def apply_merge(schema: Schema, live: Any, applied: Any) -> Any:
    """Maps merge by field, lists of type map by their keys, sets by value; everything else is replaced."""
    if isinstance(applied, Mapping) and isinstance(live, Mapping) and schema.get("x-kubernetes-map-type") != "atomic":
        result = dict(live)
        for key, value in applied.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = apply_merge(field_schema(schema, key), result.get(key), value)
        return result
    if isinstance(applied, list) and isinstance(live, list):
        return _apply_list(schema, live, applied)
    return copy.deepcopy(applied)


def _apply_list(schema: Schema, live: list[Any], applied: list[Any]) -> list[Any]:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        return live + [item for item in applied if item not in live]
    if kind != "map":
        return copy.deepcopy(applied)
    result = list(live)
    for item in applied:
        for index, old in enumerate(result):
            if item_key(schema, old) == item_key(schema, item):
                result[index] = apply_merge(item_schema(schema), old, item)
                break
        else:
            result.append(copy.deepcopy(item))
    return result


def item_key(schema: Schema, item: Any) -> str:
    """The keys of an item of a list of type map, as FieldsV1 writes them."""
    keys = schema.get("x-kubernetes-list-map-keys", ())
    default = {"protocol": "TCP"}
    found = {key: item.get(key, default.get(key)) for key in sorted(keys)} if isinstance(item, Mapping) else {}
    return json.dumps({key: value for key, value in found.items() if value is not None}, separators=(",", ":"))


def fields_of(schema: Schema, applied: Any) -> Fields:
    """The FieldsV1 of what was applied; leaves are empty."""
    if isinstance(applied, Mapping) and schema.get("x-kubernetes-map-type") != "atomic":
        return {f"f:{key}": fields_of(field_schema(schema, key), value) for key, value in applied.items()}
    if isinstance(applied, list) and schema.get("x-kubernetes-list-type") == "map":
        found = {}
        for item in applied:
            found[f"k:{item_key(schema, item)}"] = {".": {}, **fields_of(item_schema(schema), item)}
        return found
    if isinstance(applied, list) and schema.get("x-kubernetes-list-type") == "set":
        return {f"v:{json.dumps(item)}": {} for item in applied}
    return {}


def drop_no_longer_applied(schema: Schema, live: Any, old: Fields, new: Fields) -> Any:
    """`live` without what is in `old` and not in `new`; a container emptied by that goes too."""
    result = copy.deepcopy(live)
    for key, below in old.items():
        kind, _, name = key.partition(":")
        if kind == "f" and isinstance(result, dict) and name in result:
            if below:
                sub = field_schema(schema, name)
                result[name] = drop_no_longer_applied(sub, result[name], below, new.get(key, {}))
            if key not in new and (not below or result[name] in ({}, [])):
                del result[name]
        elif kind == "k" and isinstance(result, list):
            kept = []
            for item in result:
                if item_key(schema, item) != name:
                    kept.append(item)
                elif key in new:
                    kept.append(drop_no_longer_applied(item_schema(schema), item, below, new[key]))
            result = kept
        elif kind == "v" and isinstance(result, list) and key not in new:
            result = [item for item in result if json.dumps(item) != name]
    return result
