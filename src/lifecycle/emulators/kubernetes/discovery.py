"""What the server says it serves: API groups, resources, its version, and an OpenAPI document small enough to be cheap.

https://kubernetes.io/docs/concepts/overview/kubernetes-api/#discovery-api
"""

from __future__ import annotations

from typing import Any

from lifecycle.emulators.kubernetes.resources import VERBS, Registry, Resource

Node = dict[str, Any]

_SUBRESOURCE_VERBS = ["get", "patch", "update"]

VERSION: Node = {
    "major": "1",
    "minor": "34",
    "gitVersion": "v1.34.2+lifecycle-emulator",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


def core_versions(address: str) -> Node:
    """GET /api; `address` is host:port as the client knows it."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list(registry: Registry) -> Node:
    """GET /apis"""
    groups = [_group(name, versions) for name, versions in registry.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Node | None:
    """GET /apis/GROUP; None if there is no such group."""
    versions = registry.groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None


def _group(name: str, versions: list[str]) -> Node:
    found = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": found, "preferredVersion": found[0]}


def resource_list(registry: Registry, group_name: str, version: str) -> Node | None:
    """GET /api/v1 and /apis/GROUP/VERSION; None if there is no such version."""
    resources = registry.in_version(group_name, version)
    if not resources:
        return None
    name = f"{group_name}/{version}" if group_name else version
    found = [entry for resource in resources for entry in _entries(resource)]
    about: Node = {"kind": "APIResourceList", "groupVersion": name, "resources": found}
    return about if name == "v1" else {"apiVersion": "v1", **about}


def _entries(resource: Resource) -> list[Node]:
    about: Node = {"namespaced": resource.namespaced, "kind": resource.kind}
    main: Node = {"name": resource.plural, "singularName": resource.singular, **about, "verbs": list(VERBS)}
    main |= {"shortNames": list(resource.short_names)} if resource.short_names else {}
    main |= {"categories": list(resource.categories)} if resource.categories else {}
    found = [main]
    for name in sorted(resource.subresources):
        entry = {"name": f"{resource.plural}/{name}", "singularName": "", **about, "verbs": _SUBRESOURCE_VERBS}
        if name == "scale":
            entry |= {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        found.append(entry)
    return found


# ------------------------------------------------------------------ OpenAPI


def openapi_index(registry: Registry) -> Node:
    """GET /openapi/v3"""
    paths = [
        f"apis/{group_name}/{version}" if group_name else f"api/{version}"
        for group_name, versions in registry.groups().items()
        for version in versions
    ]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}


def openapi(registry: Registry, group_name: str, version: str) -> Node | None:
    """GET /openapi/v3/...: paths with the parameters kubectl looks for, and the schemas of the kinds."""
    resources = registry.in_version(group_name, version)
    if not resources:
        return None
    base = f"/apis/{group_name}/{version}" if group_name else f"/api/{version}"
    paths: Node = {}
    schemas: Node = {}
    for resource in resources:
        prefix = f"{base}/namespaces/{{namespace}}" if resource.namespaced else base
        name = _schema_name(resource)
        schemas[name] = {**resource.schema, "x-kubernetes-group-version-kind": [_kind(resource)]}
        reference = {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
        paths[f"{prefix}/{resource.plural}"] = {"post": _operation(resource, "post", reference)}
        paths[f"{prefix}/{resource.plural}/{{name}}"] = {
            verb: _operation(resource, verb, reference) for verb in ("get", "put", "patch")
        }
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def openapi_v2(registry: Registry) -> Node:
    """GET /openapi/v2: no definitions, only that the server is there; clients of today read v3."""
    del registry
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}


def _schema_name(resource: Resource) -> str:
    reversed_group = ".".join(reversed(resource.group.split("."))) if resource.group else "io.k8s.api.core"
    return f"{reversed_group}.{resource.version}.{resource.kind}"


def _kind(resource: Resource) -> Node:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _operation(resource: Resource, verb: str, content: Node) -> Node:
    found: Node = {"x-kubernetes-group-version-kind": _kind(resource)}
    if verb != "get":
        names = ("dryRun", "fieldManager", "fieldValidation") + (("force",) if verb == "patch" else ())
        found["parameters"] = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
        found["requestBody"] = {"content": content}
    found["responses"] = {"200": {"description": "OK", "content": content}}
    return {**found, "x-kubernetes-action": {"post": "post", "patch": "patch", "put": "put"}.get(verb, "get")}
