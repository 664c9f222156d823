"""From a URL path to what it names: the scheme of https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A resource path. `group` is empty for the core group; `name` is empty for the collection."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    namespaced: bool = False


def parse(path: str) -> Target | None:
    """The target of `/api/v1/...` or `/apis/GROUP/VERSION/...`; None for any other path."""
    parts = path.strip("/").split("/")
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace, namespaced = "", False
    of_namespace = len(rest) == 3 and not group and rest[2] in ("status", "finalize")
    if rest[0] == "namespaces" and len(rest) >= 3 and not of_namespace:
        namespace, namespaced, rest = rest[1], True, rest[2:]
    if len(rest) > 3 or not all(rest):
        return None
    plural, name, subresource = (*rest, "", "")[:3]
    return Target(group, version, plural, namespace, name, subresource, namespaced)
