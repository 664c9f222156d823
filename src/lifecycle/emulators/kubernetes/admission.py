"""From what a client sent to what is stored: decode, prune, fill in, judge.

Field validation: https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation
"""

from __future__ import annotations

import copy
import json
import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lifecycle.emulators.kubernetes.builtins import decode_secret
from lifecycle.emulators.kubernetes.names import metadata_causes
from lifecycle.emulators.kubernetes.resources import Resource
from lifecycle.emulators.kubernetes.schema import apply_defaults, prune, undecodable, violations
from lifecycle.emulators.kubernetes.status import Cause, Subject, bad_request, invalid
from lifecycle.emulators.kubernetes.types import named

Node = dict[str, Any]
_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # the server's alphabet: no vowels, nothing that looks alike
_RULES_SKIPPED = (
    "Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


@dataclass(frozen=True)
class Options:
    """What the query of a write says. `field_validation` is Ignore, Warn or Strict."""

    dry_run: bool = False
    field_validation: str = "Warn"
    manager: str = "unknown"
    force: bool = False


@dataclass
class Warnings:
    """What the client is told in Warning headers."""

    texts: list[str] = field(default_factory=list)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decode(resource: Resource, body: Any, options: Options, warnings: Warnings, *, patched: bool = False) -> Node:
    """A fresh object of the resource's kind without unknown fields; raises for another kind or what cannot be decoded.

    `patched`: the body is the result of a patch, whose mistakes are told in other words.
    """
    if not isinstance(body, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind})")
    _check_kind(resource, body)
    unknown: list[str] = []
    found: Node = copy.deepcopy(prune(resource.schema, body, unknown))
    if unknown and options.field_validation == "Strict":
        words = ", ".join(f'unknown field "{path}"' for path in unknown)
        raise bad_request(_handled(resource, f"strict decoding error: {words}"))
    if options.field_validation != "Ignore":
        warnings.texts += [f'unknown field "{path}"' for path in unknown]
    if not isinstance(found.get("metadata", {}), dict):
        raise bad_request(_handled(resource, "json: cannot unmarshal into Go struct field of type v1.ObjectMeta"))
    problem = _undecodable(resource, found)
    if problem and patched:
        shown = json.dumps(json.dumps(body, separators=(",", ":")))
        raise invalid(Subject(""), [Cause("patch", f"Invalid value: {shown}: {problem}")])
    if problem:
        raise bad_request(_handled(resource, problem))
    if resource.kind == "Secret" and (error := decode_secret(found)):
        raise error
    found |= {"apiVersion": resource.api_version, "kind": resource.kind}
    found.setdefault("metadata", {})
    return found if resource.custom else _normalised(resource.schema, found)


def _check_kind(resource: Resource, body: Node) -> None:
    kind, version = body.get("kind"), body.get("apiVersion")
    if not kind and resource.custom:
        shown = json.dumps(body)
        words = f"(must be of type {resource.kind}): Object 'Kind' is missing in '{shown}' ({shown[:22]} ...)"
        raise bad_request(f"the object provided is unrecognized {words}")
    if kind and version == resource.api_version and kind != resource.kind and resource.custom:
        name = str((body.get("metadata") or {}).get("name", ""))
        words = f"Invalid value: {json.dumps(kind)}: must be {resource.kind}"
        raise invalid(Subject(kind, name, resource.group), [Cause("kind", words)])
    if version and version != resource.api_version:
        expected = f"the expected API version ({resource.api_version})"
        raise bad_request(f"the API version in the data ({version}) does not match {expected}")
    if kind and kind != resource.kind:
        raise bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
            f"converting ({resource.version}.{kind}) to (core.{resource.kind}): unknown conversion"
        )


def _undecodable(resource: Resource, found: Node) -> str:
    if resource.custom:
        return undecodable(named("ObjectMeta"), found.get("metadata", {}), "ObjectMeta")
    return undecodable(resource.schema, found, resource.kind)


def _handled(resource: Resource, problem: str) -> str:
    return f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: {problem}'


def _normalised(schema: Any, value: Any) -> Any:
    """Quantities given as numbers become text, as the typed kinds return them; empty maps and lists of metadata go."""
    if isinstance(value, dict):
        properties, extra = schema.get("properties", {}), schema.get("additionalProperties", {})
        return {key: _normalised(properties.get(key, extra), part) for key, part in value.items()}
    if isinstance(value, list):
        return [_normalised(schema.get("items", {}), item) for item in value]
    return str(value) if isinstance(schema, dict) and schema.get("format") == "quantity" else value


def prepare_creation(resource: Resource, namespace: str, new: Node) -> None:
    """Give a new object what only the server gives: name, uid, time, first generation; in place."""
    metadata = new["metadata"]
    for name in _SERVER_OWNED:
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_SUFFIX) for _ in range(5))
    if resource.namespaced:
        metadata["namespace"] = namespace
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    if resource.counts_generations:
        metadata["generation"] = 1
    if resource.has_status:
        new.pop("status", None)


def prepare_update(resource: Resource, new: Node, old: Node, *, subresource: str = "") -> Node:
    """The object to store for an update: what the endpoint may not change is taken from the old one."""
    if subresource == "status":
        kept = {key: value for key, value in old.items() if key != "status"}
        metadata = {**old["metadata"], **_managed(new)}
        return {**copy.deepcopy(kept), "metadata": metadata, **({"status": new["status"]} if "status" in new else {})}
    metadata = new["metadata"]
    for name in (*_SERVER_OWNED, "namespace", "generateName"):
        metadata.pop(name, None)
        if name in old["metadata"]:
            metadata[name] = old["metadata"][name]
    metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
    if resource.has_status:
        new.pop("status", None)
        if "status" in old:
            new["status"] = copy.deepcopy(old["status"])
    if resource.kind == "Namespace":
        new["spec"] = copy.deepcopy(old["spec"])
    return new


def _managed(new: Node) -> Node:
    return {"managedFields": new["metadata"]["managedFields"]} if "managedFields" in new["metadata"] else {}


def complete(resource: Resource, new: Node, old: Node | None) -> Node:
    """Defaults of the schema and of the kind; gives the object to judge."""
    if resource.custom:
        new = apply_defaults(resource.schema, new)
    if resource.complete is not None:
        resource.complete(new, old)
    metadata = new["metadata"]
    for name in ("labels", "annotations", "finalizers", "ownerReferences", "managedFields"):
        if name in metadata and not metadata[name]:
            del metadata[name]
    for name in ("data", "binaryData"):
        if resource.kind in ("ConfigMap", "Secret") and not new.get(name, True):
            del new[name]
    return new


def judge(resource: Resource, new: Node, old: Node | None) -> None:
    """Raise 422 with every cause, if there is any."""
    causes = list(_causes(resource, new, old))
    if causes:
        raise invalid(resource.kind_subject(new["metadata"].get("name", "")), causes)


def _causes(resource: Resource, new: Node, old: Node | None) -> Iterator[Cause]:
    yield from metadata_causes(new["metadata"], resource.name_rule)
    if not resource.custom:
        if resource.judge is not None:
            yield from resource.judge(new, old)
        return
    properties = {key: value for key, value in resource.schema["properties"].items() if key != "metadata"}
    needed = [name for name in resource.schema.get("required", ()) if name != "metadata"]
    whole = {**resource.schema, "properties": properties, "required": needed}
    refused = list(violations(whole, {key: value for key, value in new.items() if key != "metadata"}))
    yield from refused
    if resource.judge is None:
        return
    if not refused:
        yield from resource.judge(new, old)
    elif any(cause.reason != "FieldValueInvalid" for cause in refused):
        yield Cause("<nil>", _RULES_SKIPPED)


def changed(old: Node, new: Node) -> bool:
    """Whether an update changes anything but the version."""
    return _without_version(old) != _without_version(new)


def _without_version(found: Node) -> Node:
    metadata = {
        key: value for key, value in found["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    return {**found, "metadata": metadata}


def count_generation(resource: Resource, new: Node, old: Node) -> None:
    """Raise metadata.generation when anything but metadata (and a status with its own endpoint) changed; in place."""
    if not resource.counts_generations:
        return
    aside = {"metadata", "apiVersion", "kind"} | ({"status"} if resource.has_status else set())
    before = {key: value for key, value in old.items() if key not in aside}
    after = {key: value for key, value in new.items() if key not in aside}
    if before != after:
        new["metadata"]["generation"] = old["metadata"].get("generation", 1) + 1
