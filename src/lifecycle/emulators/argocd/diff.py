"""Three-way comparison of what git wants, what was applied last, and what is live; and the patch that brings live to what is wanted.

Wanted fields must be there with their value; fields that were applied last time and are wanted no longer must be gone; everything else
on the live object (defaults, status, what other controllers and users added) is left alone. A list is compared item by item, the lists
that Kubernetes merges by a key (containers by name, ...) by that key. Pure functions over JSON values.
"""

from __future__ import annotations

import copy
import json
from typing import Any

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# the key by which the API merges a list of the built-in kinds: the first that every item of the list has
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "port"),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
}
_BUILT_IN_GROUPS = frozenset(
    {
        "", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io",
        "scheduling.k8s.io", "coordination.k8s.io", "admissionregistration.k8s.io",
    }
)  # fmt: skip


def last_applied(live: dict[str, Any]) -> dict[str, Any]:
    """What was applied last, from the annotation; empty when the object was not made by apply."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED, "")
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def with_last_applied(target: dict[str, Any]) -> dict[str, Any]:
    """The target carrying itself in the annotation, as kubectl apply writes it."""
    carried = copy.deepcopy(target)
    annotations = carried["metadata"].setdefault("annotations", {})
    annotations.pop(LAST_APPLIED, None)
    annotations[LAST_APPLIED] = json.dumps(carried, sort_keys=True, separators=(",", ":")) + "\n"
    return carried


def modified(target: dict[str, Any], live: dict[str, Any]) -> bool:
    """Whether the live object is not what is wanted."""
    return bool(patch_for(target, live))


def patch_for(target: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7396) that makes live what is wanted; empty when it is. Status is not compared."""
    original = last_applied(live)
    keyed = str(target["apiVersion"]).rpartition("/")[0] in _BUILT_IN_GROUPS
    wanted, before = _comparable(target), _comparable(original)
    return _patch(wanted, live, before, keyed=keyed)


def apply_merge_patch(value: Any, patch: Any) -> Any:
    """RFC 7396 on JSON values; the arguments are not changed."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = apply_merge_patch(result.get(key), change)
    return result


def merge_patch_between(old: Any, new: Any) -> dict[str, Any]:
    """The merge patch that makes `old` into `new`, both objects; empty when they are equal."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            if change := merge_patch_between(old[key], value):
                patch[key] = change
        elif key not in old or old[key] != value:
            patch[key] = value
    return patch


def _comparable(obj: dict[str, Any]) -> dict[str, Any]:
    """Without what identifies the object, what the server writes and empty values that a client may send."""
    kept = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "status")}
    metadata = dict(kept.get("metadata") or {})
    for key in ("name", "namespace", "creationTimestamp", "resourceVersion", "uid", "generation", "managedFields"):
        metadata.pop(key, None)
    if isinstance(metadata.get("annotations"), dict):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
    kept["metadata"] = metadata
    return kept


def _patch(wanted: dict[str, Any], live: dict[str, Any], before: dict[str, Any], *, keyed: bool) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for key in before:
        if key not in wanted and live.get(key) is not None:
            patch[key] = None
    for key, value in wanted.items():
        there = live.get(key)
        if isinstance(value, dict):
            if not isinstance(there, dict):
                if value or there is not None:
                    patch[key] = value
            elif change := _patch(value, there, _dict(before.get(key)), keyed=keyed):
                patch[key] = change
        elif isinstance(value, list):
            merged = _merged_list(key, value, there, before.get(key), keyed=keyed)
            if merged != there and not (merged == [] and there is None):
                patch[key] = merged
        elif value is None:
            if there is not None and key in before and before[key] is not None:
                patch[key] = None
        elif there != value or isinstance(there, bool) != isinstance(value, bool):
            patch[key] = value
    return patch


def _merged_list(key: str, wanted: list[Any], live: Any, before: Any, *, keyed: bool) -> list[Any]:
    """The list as it should be: live where that is enough."""
    if not isinstance(live, list):
        return wanted
    merge_key = _merge_key(key, wanted, live) if keyed else ""
    if merge_key:
        return _merged_by_key(merge_key, wanted, live, before if isinstance(before, list) else [])
    if len(wanted) != len(live):
        return wanted
    old = before if isinstance(before, list) and len(before) == len(wanted) else [None] * len(wanted)
    if all(_same(w, there, b, keyed=keyed) for w, there, b in zip(wanted, live, old, strict=True)):
        return live
    return wanted


def _same(wanted: Any, live: Any, before: Any, *, keyed: bool) -> bool:
    wrapped = _patch({"item": wanted}, {"item": live}, {} if before is None else {"item": before}, keyed=keyed)
    return not wrapped


def _merge_key(key: str, wanted: list[Any], live: list[Any]) -> str:
    for candidate in _MERGE_KEYS.get(key, ()):
        items = [*wanted, *live]
        if items and all(isinstance(item, dict) and candidate in item for item in items):
            return candidate
    return ""


def _merged_by_key(merge_key: str, wanted: list[Any], live: list[Any], before: list[Any]) -> list[Any]:
    given = {item[merge_key]: item for item in wanted}
    old = {item[merge_key]: item for item in before if isinstance(item, dict) and merge_key in item}
    merged: list[Any] = []
    for item in live:
        name = item[merge_key]
        if name in given:
            change = _patch(given.pop(name), item, _dict(old.get(name)), keyed=True)
            merged.append(apply_merge_patch(item, change))
        elif name not in old:
            merged.append(item)
    return merged + list(given.values())


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
