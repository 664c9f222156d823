"""How objects are shown: lists, only their metadata, or a table for `kubectl get`.

https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lifecycle.emulators.kubernetes.resources import Resource

Node = dict[str, Any]

PLAIN = "plain"
TABLE = "Table"
METADATA = "PartialObjectMetadata"

_ACCEPTED = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<all>\*)\]|\[\?\(@\.(?P<field>\w+)==(?P<value>[^)]+)\)\]")


@dataclass(frozen=True)
class View:
    """One of the forms; `include` says how much of the object a table's rows carry: Metadata, Object or None."""

    form: str = PLAIN
    include: str = "Metadata"


class NotAcceptable(Exception):
    """The client accepts nothing this server can write."""

    def __init__(self) -> None:
        super().__init__("only the following media types are accepted: " + ", ".join(_ACCEPTED))


def choose(accept: str, include: str = "") -> View:
    """The first form of an Accept header that this server writes."""
    for part in (accept or "*/*").split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        if media not in ("application/json", "*/*", "application/*"):
            continue
        wanted = dict(parameter.split("=", 1) for parameter in parameters if "=" in parameter).get("as", "")
        if wanted in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
            return View(TABLE if wanted == "Table" else METADATA, include or "Metadata")
        if not wanted:
            return View()
    raise NotAcceptable


def show(resource: Resource, found: Node, view: View) -> Node:
    """One object."""
    if view.form == TABLE:
        version = found["metadata"].get("resourceVersion", "")
        return _table(resource, [found], {"resourceVersion": version}, view)
    if view.form == METADATA:
        return metadata_only(found)
    return found


def show_list(resource: Resource, items: Sequence[Node], metadata: Node, view: View) -> Node:
    """A list; `metadata` is the list's own."""
    if view.form == TABLE:
        return _table(resource, items, metadata, view)
    if view.form == METADATA:
        about = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return {**about, "metadata": metadata, "items": [metadata_only(item) for item in items]}
    shown: list[Node] = list(items)
    if not resource.custom:  # typed lists do not repeat what they are
        shown = [{k: v for k, v in item.items() if k not in ("apiVersion", "kind")} for item in items]
    return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata, "items": shown}


def metadata_only(found: Node) -> Node:
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": found["metadata"]}


def _table(resource: Resource, items: Iterable[Node], metadata: Node, view: View) -> Node:
    name = {"name": "Name", "type": "string", "format": "name", "description": "Name of the object", "priority": 0}
    columns = [name]
    for column in resource.columns:
        words = f"Custom resource definition column (in JSONPath format): {column.path}"
        shown = {"name": column.name, "type": column.kind, "format": "", "description": words}
        columns.append({**shown, "priority": column.priority})
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": [_row(resource, item, view) for item in items],
    }


def _row(resource: Resource, found: Node, view: View) -> Node:
    cells = [found["metadata"]["name"]]
    for column in resource.columns:
        values = find(found, column.path)
        if column.kind == "date":
            cells.append(age(values[0]) if values and values[0] else "<unknown>")
        elif column.kind == "string":
            cells.append(",".join(_word(value) for value in values) if values else None)
        else:
            cells.append(values[0] if values else None)
    row: Node = {"cells": cells}
    if view.include == "Object":
        row["object"] = found
    elif view.include != "None":
        row["object"] = metadata_only(found)
    return row


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ",".join(f'"{item}"' for item in value) + "]"
    return str(value)


def find(found: Node, path: str) -> list[Any]:
    """What a JSONPath of the small kind (`.a.b`, `[*]`, `[?(@.a=='b')]`) selects."""
    present: list[Any] = [found]
    for step in _STEP.finditer(path):
        if step["name"]:
            present = [item[step["name"]] for item in present if isinstance(item, dict) and step["name"] in item]
            continue
        items = [item for group in present if isinstance(group, list) for item in group]
        if step["field"]:
            value = step["value"].strip("'\"")
            items = [i for i in items if str(i.get(step["field"], "")).lower() == value.lower()]
        present = items
    return present


def age(moment: str) -> str:
    """How long ago, as kubectl writes it: 5s, 3m, 2h, 4d."""
    past = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    seconds = max(0, int((datetime.now(UTC) - past).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
