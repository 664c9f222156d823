"""From the files of a folder in git to the objects an Application wants: parsing, tracking, order. Pure functions.

https://argo-cd.readthedocs.io/en/stable/user-guide/directory/ and .../resource_tracking/
"""

from __future__ import annotations

import copy
import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import yaml

Object = dict[str, Any]

TRACKING = "argocd.argoproj.io/tracking-id"
SYNC_WAVE = "argocd.argoproj.io/sync-wave"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"
HOOKS = ("argocd.argoproj.io/hook", "helm.sh/hook")
_KUSTOMIZE_FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_MANIFEST_NAME = re.compile(r"^.*\.(yaml|yml|json)$")
_KIND_ORDER = (
    "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget",
    "ServiceAccount", "Secret", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
    "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Service", "DaemonSet", "Pod",
    "ReplicationController", "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob",
    "IngressClass", "Ingress", "APIService",
)  # fmt: skip


class CannotRender(Exception):
    """The source cannot be turned into objects; the text is what Argo CD's repository server would answer."""


@dataclass(frozen=True, order=True)
class Key:
    """What identifies an object for Argo CD: the version of its API does not matter."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return "/".join((self.group, self.kind, self.namespace, self.name))


@dataclass(frozen=True)
class Directory:
    """How to read a folder: `spec.source.directory`."""

    recurse: bool = False
    include: str = ""
    exclude: str = ""


class _Loader(yaml.SafeLoader):
    """YAML as Kubernetes' tools read it: dates stay text, and so do numbers to the base of 60."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":timestamp", ":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"),
    list("-+.0123456789"),
)
# asked in this order: what is a whole number is no float
for _first in "-+0123456789":
    _Loader.yaml_implicit_resolvers[_first].insert(
        0, ("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o?[0-7]+|0b[01]+)$"))
    )


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    if re.match(r"^[-+]?0[0-7]+$", text):
        return int(text, 8)
    return int(text, 0)


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)


def directory_of(source: Mapping[str, Any]) -> Directory:
    """The folder settings of a source; raises CannotRender for what is not covered."""
    for tool in ("helm", "kustomize", "plugin", "chart"):
        if source.get(tool):
            raise CannotRender(f"this emulator does not render {tool} sources")
    given = source.get("directory") or {}
    if given.get("jsonnet"):
        raise CannotRender("this emulator does not render jsonnet")
    return Directory(bool(given.get("recurse")), str(given.get("include", "")), str(given.get("exclude", "")))


def chosen(paths: Iterable[str], folder: str, directory: Directory) -> list[str]:
    """The manifest files of a folder, in order; raises CannotRender when there is no such folder or it needs another tool."""
    root = PurePosixPath(folder)
    inside = [path for path in paths if str(root) == "." or PurePosixPath(path).is_relative_to(root)]
    if not inside or (str(root) != "." and str(root) in inside):
        raise CannotRender(f"{folder}: app path does not exist")
    top = {str(PurePosixPath(path).relative_to(root)) for path in inside}
    for name in _KUSTOMIZE_FILES:
        if name in top:
            raise CannotRender(f"this emulator does not run kustomize, and {folder} holds a {name}")
    if "Chart.yaml" in top:
        raise CannotRender(f"this emulator does not run helm, and {folder} holds a Chart.yaml")
    return sorted(path for path in inside if _wanted(PurePosixPath(path).relative_to(root), directory))


def _wanted(path: PurePosixPath, directory: Directory) -> bool:
    if not _MANIFEST_NAME.match(path.name) or (len(path.parts) > 1 and not directory.recurse):
        return False
    if directory.exclude and _glob(path, directory.exclude):
        return False
    return not directory.include or _glob(path, directory.include)


def _glob(path: PurePosixPath, pattern: str) -> bool:
    patterns = pattern[1:-1].split(",") if pattern.startswith("{") and pattern.endswith("}") else [pattern]
    return any(fnmatch.fnmatchcase(str(path), one.strip()) for one in patterns)


def parse(path: str, content: bytes) -> list[Object]:
    """The objects of one file; a YAML file that does not look like a manifest is passed over.

    Raises:
        CannotRender: what looks like a manifest cannot be read.
    """
    name = PurePosixPath(path).name
    text = content.decode("utf-8-sig", errors="replace")
    if name.endswith(".json"):
        try:
            documents = [json.loads(text)]
        except ValueError as error:
            raise CannotRender(f'Failed to unmarshal "{name}": {error}') from error
    else:
        documents = []
        try:
            documents.extend(yaml.load_all(text, _Loader))
        except (yaml.YAMLError, ValueError) as error:
            if documents or all(word in text for word in ("apiVersion:", "kind:", "metadata:")):
                told = " ".join(str(error).split())
                raise CannotRender(
                    f'Failed to unmarshal "{name}": failed to unmarshal manifest: error converting YAML to JSON: {told}'
                ) from error
            return []
    return [obj for document in documents for obj in _objects(name, document)]


def _objects(name: str, document: Any) -> list[Object]:
    if not isinstance(document, dict) or "kind" not in document:
        return []
    if not isinstance(document["kind"], str) or not isinstance(document.get("apiVersion"), str):
        raise CannotRender(f"Failed to unmarshal \"{name}\": Object 'apiVersion' or 'kind' is missing in a manifest")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        return [obj for item in document["items"] for obj in _objects(name, item)]
    metadata = document.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise CannotRender(f'Failed to unmarshal "{name}": metadata is no mapping')
    obj: Object = json.loads(json.dumps(document, default=str))
    obj["metadata"] = obj.get("metadata") or {}
    if any((obj["metadata"].get("annotations") or {}).get(hook) for hook in HOOKS):
        raise CannotRender(f'this emulator runs no hooks, and "{name}" holds one')
    return [obj]


def group_of(obj: Mapping[str, Any]) -> str:
    return str(obj["apiVersion"]).rpartition("/")[0]


def version_of(obj: Mapping[str, Any]) -> str:
    return str(obj["apiVersion"]).rpartition("/")[2]


def key_of(obj: Mapping[str, Any]) -> Key:
    metadata = obj["metadata"]
    return Key(group_of(obj), str(obj["kind"]), str(metadata.get("namespace", "")), str(metadata.get("name", "")))


def tracking_id(application: str, key: Key) -> str:
    """`<application>:<group>/<kind>:<namespace>/<name>`."""
    return f"{application}:{key.group}/{key.kind}:{key.namespace}/{key.name}"


def tracked_by(obj: Mapping[str, Any]) -> str:
    """The Application an object says it belongs to, empty for none."""
    return str((obj["metadata"].get("annotations") or {}).get(TRACKING, "")).partition(":")[0]


def tracks_itself(obj: Mapping[str, Any], application: str) -> bool:
    """Whether the tracking id names this very object: one copied with its annotations by another controller does not."""
    return (obj["metadata"].get("annotations") or {}).get(TRACKING) == tracking_id(application, key_of(obj))


def owned_targets(
    objects: Iterable[Object], application: str, namespace: str, namespaced: Callable[[Object], bool]
) -> tuple[list[Object], list[str]]:
    """The objects in their namespace and carrying the tracking id, later duplicates winning; and a warning for each duplicate."""
    found: dict[Key, Object] = {}
    times: dict[Key, int] = {}
    for given in objects:
        obj = copy.deepcopy(given)
        metadata = obj["metadata"]
        if namespaced(obj):
            metadata.setdefault("namespace", namespace)
        else:
            metadata.pop("namespace", None)
        key = key_of(obj)
        metadata["annotations"] = {**(metadata.get("annotations") or {}), TRACKING: tracking_id(application, key)}
        times[key] = times.get(key, 0) + 1
        found[key] = obj
    warnings = [
        f"Resource {key} appeared {count} times among application resources."
        for key, count in times.items()
        if count > 1
    ]
    return list(found.values()), warnings


def apply_order(obj: Mapping[str, Any]) -> tuple[int, int, str, str, str]:
    """The order in which objects are applied: wave, kind, name."""
    kind = str(obj["kind"])
    place = _KIND_ORDER.index(kind) if kind in _KIND_ORDER else len(_KIND_ORDER)
    key = key_of(obj)
    return (wave_of(obj), place, kind, key.namespace, key.name)


def wave_of(obj: Mapping[str, Any]) -> int:
    try:
        return int((obj["metadata"].get("annotations") or {}).get(SYNC_WAVE, 0))
    except ValueError:
        return 0


def has_option(obj: Mapping[str, Any], annotation: str, option: str) -> bool:
    """Whether a comma-separated annotation such as sync-options names the option."""
    given = str((obj["metadata"].get("annotations") or {}).get(annotation, ""))
    return option in [part.strip() for part in given.split(",")]
