"""What an AppProject permits (https://argo-cd.readthedocs.io/en/stable/user-guide/projects/). Pure functions."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

IN_CLUSTER_SERVER = "https://kubernetes.default.svc"
IN_CLUSTER_NAME = "in-cluster"

Project = Mapping[str, Any]

DEFAULT_PROJECT: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AppProject",
    "metadata": {"name": "default"},
    "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"namespace": "*", "server": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    },
}


def spec_errors(spec: Mapping[str, Any], project: Project) -> list[str]:
    """Why an Application's spec is not valid in the project: the texts of its InvalidSpecError conditions."""
    source = spec.get("source")
    if spec.get("sources"):
        return ["this emulator does not render applications with several sources"]
    if not source or not source.get("repoURL") or not (source.get("path") or source.get("chart")):
        return ["spec.source.repoURL and either spec.source.path or spec.source.chart are required"]
    errors: list[str] = []
    destination = spec.get("destination") or {}
    server, name = destination.get("server", ""), destination.get("name", "")
    label = project["metadata"]["name"]
    if not _permits_repository(project, str(source["repoURL"])):
        errors.append(f"application repo {source['repoURL']} is not permitted in project '{label}'")
    if server and name:
        errors.append(f"application destination can't have both name and server defined: {name} {server}")
    elif name and name != IN_CLUSTER_NAME:
        errors.append(f"unable to find destination server: there are no clusters with this name: {name}")
    elif not name and server != IN_CLUSTER_SERVER:
        errors.append(
            f'error getting cluster by server "{server}": rpc error: code = NotFound desc = cluster "{server}" not found'
            if server
            else "Destination server missing from app spec"
        )
    elif not permits_destination(project, str(destination.get("namespace", ""))):
        shown = name or IN_CLUSTER_SERVER
        errors.append(
            f"application destination server '{shown}' and namespace '{destination.get('namespace', '')}' do not match any "
            f"of the allowed destinations in project '{label}'"
        )
    return sorted(errors)


def _permits_repository(project: Project, url: str) -> bool:
    given = [str(pattern) for pattern in project.get("spec", {}).get("sourceRepos") or []]
    denied = [pattern[1:] for pattern in given if pattern.startswith("!")]
    if any(_glob(url, pattern) for pattern in denied):
        return False
    return any(_glob(url, pattern) for pattern in given if not pattern.startswith("!"))


def permits_destination(project: Project, namespace: str) -> bool:
    """Whether objects may go to a namespace of this cluster."""
    permitted = False
    for given in project.get("spec", {}).get("destinations") or []:
        server, name, pattern = given.get("server", ""), given.get("name", ""), given.get("namespace", "")
        if not (_glob(IN_CLUSTER_SERVER, server) or (name and _glob(IN_CLUSTER_NAME, name))):
            continue
        if pattern.startswith("!"):
            if _glob(namespace, pattern[1:]):
                return False
        elif _glob(namespace, pattern):
            permitted = True
    return permitted


def permits_kind(project: Project, group: str, kind: str, *, namespaced: bool) -> bool:
    """Whether the project may have objects of a kind; cluster-wide kinds must be listed, namespaced ones must not be forbidden."""
    spec = project.get("spec", {})
    if namespaced:
        allowed = spec.get("namespaceResourceWhitelist")
        listed = allowed is None or _listed(allowed, group, kind)
        return listed and not _listed(spec.get("namespaceResourceBlacklist") or [], group, kind)
    return _listed(spec.get("clusterResourceWhitelist") or [], group, kind) and not _listed(
        spec.get("clusterResourceBlacklist") or [], group, kind
    )


def _listed(entries: Iterable[Mapping[str, str]], group: str, kind: str) -> bool:
    return any(_glob(group, entry.get("group", "")) and _glob(kind, entry.get("kind", "")) for entry in entries)


def _glob(text: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(text, pattern)
