"""Structural schemas: prune what they do not know, fill in defaults, say what they refuse, in the API server's words.

https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
Gap: allOf, anyOf, oneOf, not and CEL rules are not evaluated.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lifecycle.emulators.kubernetes.patches import Schema, field_schema, item_schema
from lifecycle.emulators.kubernetes.status import Cause, required, unsupported

PRESERVE = "x-kubernetes-preserve-unknown-fields"
INT_OR_STRING = "x-kubernetes-int-or-string"


def json_type(value: Any) -> str:
    """The JSON name of a value's type, integers apart from numbers."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def prune(schema: Schema, value: Any, unknown: list[str], path: str = "") -> Any:
    """The value without unknown fields, whose paths are added to `unknown`, and without nulls that mean nothing."""
    if isinstance(value, Mapping):
        result = {}
        for name, part in value.items():
            known = name in schema.get("properties", {}) or isinstance(schema.get("additionalProperties"), Mapping)
            if not known and not schema.get(PRESERVE) and schema.get("additionalProperties") is not True:
                if schema.get("type", "object") == "object" and not schema.get(INT_OR_STRING):
                    unknown.append(_join(path, name))
                    continue
                return value  # of the wrong type; validation says so
            sub = field_schema(schema, name)
            if part is None and known and not sub.get("nullable"):
                continue
            result[name] = prune(sub, part, unknown, _join(path, name)) if known else part
        return result
    if isinstance(value, list) and "items" in schema:
        items = item_schema(schema)
        return [prune(items, item, unknown, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def apply_defaults(schema: Schema, value: Any) -> Any:
    """The value with the schema's defaults where a field is absent, at every depth that is present."""
    if isinstance(value, Mapping):
        result = dict(value)
        for name, sub in schema.get("properties", {}).items():
            if name not in result and "default" in sub:
                result[name] = copy.deepcopy(sub["default"])
        for name in result:
            sub = field_schema(schema, name)
            if sub and isinstance(result[name], dict | list):
                result[name] = apply_defaults(sub, result[name])
        return result
    if isinstance(value, list):
        items = item_schema(schema)
        return [apply_defaults(items, item) for item in value] if items else value
    return value


def violations(schema: Schema, value: Any, path: str = "") -> Iterator[Cause]:
    """Everything the schema refuses in the value."""
    actual = json_type(value)
    if not _type_fits(schema, value, actual):
        wanted = "integer,string" if schema.get(INT_OR_STRING) else schema["type"]
        message = f'Invalid value: "{actual}": {path} in body must be of type {wanted}: "{actual}"'
        yield Cause(path, message, "FieldValueTypeInvalid")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported(path, json.dumps(value), [str(word) for word in schema["enum"]])
    if isinstance(value, str):
        yield from _text(schema, value, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, path)
    elif isinstance(value, list):
        yield from _array(schema, value, path)
    elif isinstance(value, Mapping):
        yield from _mapping(schema, value, path)


def _type_fits(schema: Schema, value: Any, actual: str) -> bool:
    if value is None:
        return bool(schema.get("nullable")) or "type" not in schema
    if schema.get(INT_OR_STRING):
        return actual in ("integer", "string")
    match schema.get("type"):
        case None:
            return True
        case "number":
            return actual in ("number", "integer")
        case wanted:
            return bool(actual == wanted)


def _text(schema: Schema, value: str, path: str) -> Iterator[Cause]:
    shown = json.dumps(value)
    if len(value) > schema.get("maxLength", len(value)):
        yield Cause(path, f"Too long: may not be more than {schema['maxLength']} bytes", "FieldValueTooLong")
    if len(value) < schema.get("minLength", 0):
        least = schema["minLength"]
        yield Cause(path, f"Invalid value: {shown}: {path} in body should be at least {least} chars long")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield Cause(path, f"Invalid value: {shown}: {path} in body should match '{schema['pattern']}'")


def _number(schema: Schema, value: float, path: str) -> Iterator[Cause]:
    if value < schema.get("minimum", value):
        words = f"should be greater than or equal to {schema['minimum']}"
        yield Cause(path, f"Invalid value: {value}: {path} in body {words}")
    if value > schema.get("maximum", value):
        words = f"should be less than or equal to {schema['maximum']}"
        yield Cause(path, f"Invalid value: {value}: {path} in body {words}")


def _array(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    if len(value) > schema.get("maxItems", len(value)):
        most = schema["maxItems"]
        yield Cause(path, f"Too many: {len(value)}: must have at most {most} items", "FieldValueTooMany")
    if len(value) < schema.get("minItems", 0):
        least = schema["minItems"]
        yield Cause(path, f"Invalid value: {len(value)}: {path} in body should have at least {least} items")
    items = item_schema(schema)
    if items:
        for index, item in enumerate(value):
            yield from violations(items, item, f"{path}[{index}]")
    yield from _duplicates(schema, value, path)


def _duplicates(schema: Schema, value: list[Any], path: str) -> Iterator[Cause]:
    keys = schema.get("x-kubernetes-list-map-keys")
    if schema.get("x-kubernetes-list-type") not in ("map", "set"):
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        shown = {key: item[key] for key in keys if key in item} if keys and isinstance(item, Mapping) else item
        text = json.dumps(shown, sort_keys=True, separators=(",", ":"))
        if text in seen:
            yield Cause(f"{path}[{index}]", f"Duplicate value: {text}", "FieldValueDuplicate")
        seen.add(text)


def _mapping(schema: Schema, value: Mapping[str, Any], path: str) -> Iterator[Cause]:
    for name, part in value.items():
        sub = field_schema(schema, name)
        if sub:
            yield from violations(sub, part, _join(path, name))
    for name in schema.get("required", ()):
        if name not in value:
            yield required(_join(path, name))
    if len(value) > schema.get("maxProperties", len(value)):
        most = schema["maxProperties"]
        yield Cause(path, f"Too many: {len(value)}: must have at most {most} items", "FieldValueTooMany")
    if len(value) < schema.get("minProperties", 0):
        least = schema["minProperties"]
        yield Cause(path, f"Invalid value: {len(value)}: {path} in body should have at least {least} properties")


def undecodable(schema: Schema, value: Any, kind: str, path: str = "") -> str:
    """The first thing that Go's JSON decoder could not put into its type, in its words; empty when all fits.

    Kinds built into the server are decoded before they are validated, so that a wrong type is a 400 there and not a 422.
    """
    actual = json_type(value)
    if value is None:
        return ""
    if not _type_fits(schema, value, actual):
        found = {"boolean": "bool", "integer": "number"}.get(actual, actual)
        return f"json: cannot unmarshal {found} into Go struct field {kind}.{path} of type {_go_type(schema)}"
    if isinstance(value, Mapping):
        for name, part in value.items():
            sub = field_schema(schema, name)
            # Go names a map's field, not its key
            below = path if "additionalProperties" in schema and path else _join(path, name)
            if sub and (words := undecodable(sub, part, kind, below)):
                return words
    if isinstance(value, list):
        for item in value:
            if words := undecodable(item_schema(schema), item, kind, path):
                return words
    return ""


def _go_type(schema: Schema) -> str:
    names = {
        "integer": "int32",
        "boolean": "bool",
        "number": "float64",
        "array": "[]string",
        "object": "map[string]string",
    }
    wanted = str(schema.get("type", "string"))
    return names.get(wanted, wanted)
