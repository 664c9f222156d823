"""Which words are valid at a place of a file: read from the model's own JSON Schema, so errors and editors never disagree."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

Schema = Mapping[str, Any]


@cache
def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON Schema (draft 2020-12), by the names a file uses."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)}


def choices(model: type[BaseModel], path: tuple[str | int, ...], value: Any) -> tuple[str, ...]:
    """The property names or values the schema allows at `path`; empty where anything of the right type will do."""
    root = schema_of(model)
    places: list[tuple[Schema, Any]] = [(schema, value) for schema in _alternatives(root, root, value)]
    for part in path:
        below = value_at(places[0][1], part) if places else None
        places = [
            (schema, below)
            for place, _ in places
            for step in _steps(place, part)
            for schema in _alternatives(root, step, below)
        ]
    words: dict[str, None] = {}
    for schema, _ in places:
        words.update(dict.fromkeys(str(word) for word in schema.get("enum", [])))
        if "const" in schema:
            words[str(schema["const"])] = None
        words.update(dict.fromkeys(schema.get("properties", {})))
    return tuple(words)


def value_at(value: Any, part: str | int) -> Any:
    """The value below, or None where there is none."""
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _steps(schema: Schema, part: str | int) -> list[Schema]:
    if isinstance(part, int):
        return [schema["items"]] if isinstance(schema.get("items"), dict) else []
    found = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
    return [found] if isinstance(found, dict) else []


def _alternatives(root: Schema, schema: Schema, value: Any) -> list[Schema]:
    """References resolved, unions opened; of several record types those the value's keys point to, else all."""
    if "$ref" in schema:
        return _alternatives(root, root["$defs"][schema["$ref"].rsplit("/", 1)[-1]], value)
    union = schema.get("oneOf") or schema.get("anyOf")
    if not union:
        return [schema]
    opened = [leaf for option in union for leaf in _alternatives(root, option, value)]
    if isinstance(value, Mapping):
        pointed = [leaf for leaf in opened if set(value) & set(leaf.get("properties", {}))]
        return pointed or opened
    return opened
