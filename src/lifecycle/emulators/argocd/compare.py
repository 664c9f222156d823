"""Comparison of an Application with the cluster: what git wants against what is live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lifecycle.emulators.argocd.diff import modified
from lifecycle.emulators.argocd.health import MISSING, health_of, missing_matters, worst
from lifecycle.emulators.argocd.live import LiveObjects, api_version_of, kind_of
from lifecycle.emulators.argocd.manifests import (
    COMPARE_OPTIONS,
    CannotRender,
    Key,
    Object,
    directory_of,
    group_of,
    has_option,
    key_of,
    owned_targets,
    tracked_by,
    tracks_itself,
    version_of,
    wave_of,
)
from lifecycle.emulators.argocd.project import Project, permits_kind
from lifecycle.emulators.argocd.repository import Repositories
from lifecycle.emulators.kube_client import KubeClient

SYNCED = "Synced"
OUT_OF_SYNC = "OutOfSync"
UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Pair:
    """One object as wanted and as it is; `own` is False for a copy that only carries another object's tracking id."""

    key: Key
    target: Object | None
    live: Object | None
    modified: bool
    own: bool
    served: bool
    namespaced: bool

    @property
    def obj(self) -> Object:
        found = self.live if self.live is not None else self.target
        assert found is not None
        return found


@dataclass(frozen=True)
class Comparison:
    """What a comparison found; `error` is set when git or the source could not be read."""

    status: str
    revision: str
    health: str
    pairs: tuple[Pair, ...]
    resources: tuple[dict[str, Any], ...]
    conditions: tuple[tuple[str, str], ...]
    source_type: str
    error: str = ""


class Comparer:
    """Compares Applications with the cluster."""

    def __init__(self, client: KubeClient, live: LiveObjects, repositories: Repositories) -> None:
        self._client = client
        self._live = live
        self._repositories = repositories

    async def compare(self, app: Object, project: Project, source: Mapping[str, Any], revision: str) -> Comparison:
        """Compare with the source at a revision; what git cannot give becomes a ComparisonError, nothing is raised for it."""
        name, spec = app["metadata"]["name"], app["spec"]
        conditions: list[tuple[str, str]] = []
        error, commit = "", revision
        objects: tuple[Object, ...] = ()
        try:
            rendered = await self._repositories.render(
                str(source["repoURL"]), revision, str(source.get("path", "")), directory_of(source)
            )
            commit, objects = rendered.commit, rendered.objects
        except CannotRender as problem:
            error = (
                "Failed to load target state: failed to generate manifest for source 1 of 1: rpc error: "
                f"code = Unknown desc = {problem}"
            )
            conditions.append(("ComparisonError", error))
        served = await self._served(app, objects)
        namespace = str(spec.get("destination", {}).get("namespace", ""))
        targets, repeated = owned_targets(objects, name, namespace, lambda obj: served.get(kind_of(obj), True))
        conditions += [("RepeatedResourceWarning", text) for text in repeated]
        pairs = tuple(self._pairs(app, targets, served))
        conditions += _shared(app, pairs)
        resources = tuple(_resource(pair, project, failed=bool(error)) for pair in pairs)
        counted = [
            resource["status"]
            for pair, resource in zip(pairs, resources, strict=True)
            if "status" in resource
            and not (pair.target is None and has_option(pair.obj, COMPARE_OPTIONS, "IgnoreExtraneous"))
        ]
        status = UNKNOWN if error else OUT_OF_SYNC if OUT_OF_SYNC in counted else SYNCED
        return Comparison(
            status,
            commit,
            worst(_healths(pairs)),
            pairs,
            tuple(sorted(resources, key=_order)),
            tuple(conditions),
            "" if error else "Directory",
            error,
        )

    async def _served(self, app: Object, objects: tuple[Object, ...]) -> dict[tuple[str, str], bool]:
        """Each served (apiVersion, kind) the application has or had, and whether it is namespaced; all of them are followed from here on."""
        kinds = {kind_of(obj) for obj in objects}
        for resource in app.get("status", {}).get("resources") or []:
            kinds.add((api_version_of(resource.get("group", ""), resource.get("version", "")), resource["kind"]))
        unserved = await self._live.follow(kinds)
        found = [await self._client.kind(*kind) for kind in kinds - unserved]
        return {(kind.api_version, kind.kind): kind.namespaced for kind in found}

    def _pairs(self, app: Object, targets: list[Object], served: dict[tuple[str, str], bool]) -> list[Pair]:
        name = app["metadata"]["name"]
        pairs: list[Pair] = []
        wanted = {key_of(target) for target in targets}
        for target in targets:
            live = self._live.get(key_of(target))
            kind = kind_of(target)
            pairs.append(
                Pair(
                    key_of(target),
                    target,
                    live,
                    live is not None and modified(target, live),
                    True,
                    kind in served,
                    served.get(kind, True),
                )
            )
        for live in self._live.of_application(name):
            if key_of(live) not in wanted and not _is(app, live):
                namespaced = bool(live["metadata"].get("namespace"))
                pairs.append(Pair(key_of(live), None, live, False, tracks_itself(live, name), True, namespaced))
        return pairs


def _is(app: Object, live: Object) -> bool:
    return bool(live["metadata"].get("uid") == app["metadata"].get("uid"))


def _shared(app: Object, pairs: tuple[Pair, ...]) -> list[tuple[str, str]]:
    metadata = app["metadata"]
    found: list[tuple[str, str]] = []
    for pair in pairs:
        other = tracked_by(pair.live) if pair.live is not None else ""
        if other and other != metadata["name"]:
            text = f"{pair.key.kind}/{pair.key.name} is part of applications {metadata['namespace']}/{metadata['name']} and {other}"
            found.append(("SharedResourceWarning", text))
    return found


def _resource(pair: Pair, project: Project, *, failed: bool) -> dict[str, Any]:
    """One entry of status.resources."""
    obj = pair.obj
    entry: dict[str, Any] = {
        "group": group_of(obj),
        "kind": pair.key.kind,
        "name": pair.key.name,
        "namespace": pair.key.namespace,
        "version": version_of(obj),
    }
    if pair.target is None and pair.own:
        entry["requiresPruning"] = True
    if pair.target is not None and wave_of(pair.target):
        entry["syncWave"] = wave_of(pair.target)
    if not permits_kind(project, pair.key.group, pair.key.kind, namespaced=pair.namespaced) or failed:
        entry["status"] = UNKNOWN
    elif pair.own:
        different = pair.target is None or pair.live is None or pair.modified
        entry["status"] = OUT_OF_SYNC if different else SYNCED
    return {key: value for key, value in entry.items() if value != ""}


def _healths(pairs: tuple[Pair, ...]) -> list[str]:
    found: list[str] = []
    for pair in pairs:
        if pair.live is None:
            if missing_matters(pair.key.group, pair.key.kind):
                found.append(MISSING)
            continue
        annotations = pair.live["metadata"].get("annotations") or {}
        health = health_of(pair.live)
        if health is not None and annotations.get("argocd.argoproj.io/ignore-healthcheck") != "true":
            found.append(health.status)
    return found


def _order(resource: Mapping[str, Any]) -> str:
    return "/".join(str(resource.get(part, "")) for part in ("group", "kind", "namespace", "name"))
