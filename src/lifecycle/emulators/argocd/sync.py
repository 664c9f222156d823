"""One sync operation: what the `operation` field of an Application asks for, done on the cluster.

The result's texts are those of Argo CD and kubectl, which people search for.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from lifecycle.emulators.argocd.compare import Comparer, Comparison, Pair
from lifecycle.emulators.argocd.diff import LAST_APPLIED, last_applied, patch_for, with_last_applied
from lifecycle.emulators.argocd.live import LiveObjects
from lifecycle.emulators.argocd.manifests import SYNC_OPTIONS, Key, Object, apply_order, has_option, version_of
from lifecycle.emulators.argocd.project import Project, permits_destination, permits_kind
from lifecycle.emulators.kube_client import ApiError, KubeClient, UnknownKind

RUNNING = "Running"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
ERROR = "Error"
TERMINATING = "Terminating"
COMPLETED = frozenset({SUCCEEDED, FAILED, ERROR})

_UNCOVERED_OPTIONS = ("ServerSideApply=true", "Replace=true", "RespectIgnoreDifferences=true")
_PRUNE_DEADLINE_S = 300.0


@dataclass(frozen=True)
class Outcome:
    """How an operation ended: the phase, the message, and the syncResult as Argo CD keeps it."""

    phase: str
    message: str
    result: dict[str, Any]
    comparison: Comparison | None = None


@dataclass
class _Run:
    """One run's surroundings and the results so far."""

    project: Project
    dry_run: bool
    prune: bool
    propagation: str
    results: list[dict[str, Any]] = field(default_factory=list)

    def note(self, key: Key, version: str, status: str, phase: str, message: str, *, when: str = "Sync") -> None:
        entry = {
            "group": key.group,
            "kind": key.kind,
            "namespace": key.namespace,
            "name": key.name,
            "version": version,
            "status": status,
            "syncPhase": when,
            "hookPhase": phase,
            "message": message,
        }
        self.results.append({k: v for k, v in entry.items() if v or k in ("group", "namespace", "name")})


class Syncer:
    """Runs sync operations."""

    def __init__(self, client: KubeClient, live: LiveObjects, comparer: Comparer) -> None:
        self._client = client
        self._live = live
        self._comparer = comparer

    async def sync(self, app: Object, project: Project, operation: Mapping[str, Any]) -> Outcome:
        """Carry out an operation; whatever goes wrong is told in the outcome."""
        wanted = operation.get("sync")
        if wanted is None:
            return Outcome(ERROR, "Invalid operation request: no operation specified", {})
        source = wanted.get("source") or app["spec"]["source"]
        revision = str(wanted.get("revision") or source.get("targetRevision") or "HEAD")
        result: dict[str, Any] = {"revision": str(wanted.get("revision", "")), "source": source}
        options = [str(option) for option in wanted.get("syncOptions") or []]
        uncovered = [option for option in options if option in _UNCOVERED_OPTIONS]
        if uncovered:
            return Outcome(ERROR, f"this emulator does not cover the sync option {uncovered[0]}", result)
        comparison = await self._comparer.compare(app, project, source, revision)
        if comparison.error:
            return Outcome(ERROR, f"ComparisonError: {comparison.error}", result, comparison)
        result["revision"] = comparison.revision
        run = _Run(project, bool(wanted.get("dryRun")), bool(wanted.get("prune")), _propagation(options))
        selected = [pair for pair in comparison.pairs if pair.own and _selected(pair, wanted.get("resources") or [])]
        selected.sort(key=lambda pair: apply_order(pair.obj))
        namespace = str(app["spec"].get("destination", {}).get("namespace", ""))
        create_namespace = "CreateNamespace=true" in options and not any(
            pair.key == Key("", "Namespace", "", namespace) for pair in selected
        )
        phase, message = await self._run(run, selected, namespace if create_namespace else "")
        if run.results:
            result["resources"] = run.results
        return Outcome(phase, message, result, comparison)

    async def _run(self, run: _Run, pairs: list[Pair], new_namespace: str) -> tuple[str, str]:
        missing = bool(new_namespace) and await self._client.find("v1", "Namespace", new_namespace) is None
        if self._refused(run, pairs, new_namespace if missing else ""):
            return FAILED, "one or more synchronization tasks are not valid"
        if missing and not await self._create_namespace(run, new_namespace):
            return FAILED, f"the namespace failed to apply, reason: {run.results[-1]['message']}"
        if unnamed := [pair for pair in pairs if pair.target is not None and not pair.key.name]:
            for pair in unnamed:
                run.note(pair.key, version_of(pair.obj), "SyncFailed", FAILED, "resource name may not be empty")
            return FAILED, "one or more objects failed to apply (dry run)"
        failed = await self._prune(run, [pair for pair in pairs if pair.target is None])
        for pair in pairs if not failed else []:
            if pair.target is not None:
                await self._apply(run, pair)
        if any(entry.get("status") == "SyncFailed" for entry in run.results):
            told = ",".join(entry["message"] for entry in run.results if entry.get("status") == "SyncFailed")
            return FAILED, f"one or more objects failed to apply, reason: {told}"
        if run.dry_run or not pairs:
            return SUCCEEDED, "successfully synced (no more tasks)"
        return SUCCEEDED, "successfully synced (all tasks run)"

    def _refused(self, run: _Run, pairs: list[Pair], new_namespace: str) -> bool:
        """Note every object whose kind is not served or not permitted."""
        before = len(run.results)
        name = run.project["metadata"]["name"]
        for pair in pairs:
            key = pair.key
            if not pair.served:
                text = (
                    f"The Kubernetes API could not find {key.group}/{key.kind} for requested resource {key.namespace}/{key.name}. "
                    f'Make sure the "{key.kind}" CRD is installed on the destination cluster.'
                )
            elif not permits_kind(run.project, key.group, key.kind, namespaced=pair.namespaced):
                text = f"resource {key.group}:{key.kind} is not permitted in project {name}"
            elif pair.namespaced and not permits_destination(run.project, key.namespace):
                text = f"namespace {key.namespace} is not permitted in project '{name}'"
            else:
                continue
            run.note(key, version_of(pair.obj), "SyncFailed", "", text)
        if new_namespace and not permits_kind(run.project, "", "Namespace", namespaced=False):
            text = f"resource :Namespace is not permitted in project {name}"
            run.note(Key("", "Namespace", "", new_namespace), "v1", "SyncFailed", "", text, when="PreSync")
        return len(run.results) > before

    async def _create_namespace(self, run: _Run, name: str) -> bool:
        key = Key("", "Namespace", "", name)
        try:
            obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            await self._client.create(with_last_applied(obj), dry_run=run.dry_run)
        except ApiError as error:
            if error.code != 409:
                run.note(key, "v1", "SyncFailed", FAILED, error.message, when="PreSync")
                return False
        shown = f"namespace/{name} created" + (" (dry run)" if run.dry_run else "")
        run.note(key, "v1", "Synced", RUNNING, shown, when="PreSync")
        return True

    async def _prune(self, run: _Run, pairs: list[Pair]) -> bool:
        """Delete what is not wanted and wait until it is gone; returns whether something could not be deleted."""
        pruned: list[Key] = []
        failed = False
        for pair in pairs:
            key, obj = pair.key, pair.obj
            if not run.prune:
                run.note(key, version_of(obj), "PruneSkipped", SUCCEEDED, "ignored (requires pruning)")
            elif has_option(obj, SYNC_OPTIONS, "Prune=false"):
                run.note(key, version_of(obj), "PruneSkipped", SUCCEEDED, "ignored (no prune)")
            elif run.dry_run:
                run.note(key, version_of(obj), "Pruned", SUCCEEDED, "pruned (dry run)")
            else:
                try:
                    await self._delete(obj, run.propagation)
                except (ApiError, httpx.TransportError) as error:
                    run.note(key, version_of(obj), "SyncFailed", FAILED, _told(error))
                    failed = True
                else:
                    pruned.append(key)
                    run.note(key, version_of(obj), "Pruned", SUCCEEDED, "pruned")
        for key in await self._live.wait_gone(pruned, _PRUNE_DEADLINE_S):
            told = f"waiting for deletion of {key} took longer than {_PRUNE_DEADLINE_S:.0f} s"
            run.note(key, "", "SyncFailed", FAILED, told)
            failed = True
        return failed

    async def _delete(self, obj: Object, propagation: str) -> None:
        metadata = obj["metadata"]
        if not metadata.get("deletionTimestamp"):
            await self._client.delete(
                obj["apiVersion"], obj["kind"], metadata["name"], metadata.get("namespace", ""), propagation=propagation
            )

    async def _apply(self, run: _Run, pair: Pair) -> None:
        assert pair.target is not None
        phase = SUCCEEDED if run.dry_run else RUNNING
        try:
            verb = await self.apply(pair.target, dry_run=run.dry_run)
        except (ApiError, UnknownKind, httpx.TransportError) as error:
            run.note(pair.key, version_of(pair.obj), "SyncFailed", FAILED, _told(error))
            return
        shown = f"{_resource_name(pair.key)} {verb}" + (" (dry run)" if run.dry_run else "")
        run.note(pair.key, version_of(pair.obj), "Synced", phase, shown)

    async def apply(self, target: Object, *, dry_run: bool) -> str:
        """Apply as kubectl does, by patch against what was applied last; returns created, configured or unchanged."""
        metadata = target["metadata"]
        where = (target["apiVersion"], target["kind"], metadata["name"], metadata.get("namespace", ""))
        carried = with_last_applied(target)
        there = await self._client.find(*where)
        if there is None:
            created = await self._client.create(carried, dry_run=dry_run)
            if not dry_run:
                self._live.put(created)
            return "created"
        patch = patch_for(target, there)
        if last_applied(there) != last_applied(carried):
            annotations = patch.setdefault("metadata", {}).setdefault("annotations", {})
            annotations[LAST_APPLIED] = carried["metadata"]["annotations"][LAST_APPLIED]
        if not patch:
            return "unchanged"
        try:
            patched = await self._client.patch(*where, patch, dry_run=dry_run)
        except ApiError as error:
            number = zlib.crc32("/".join(where).encode())
            raise ApiError(
                error.code, error.reason, f'error when patching "/dev/shm/{number}": {error.message}', error.body
            ) from error
        if not dry_run:
            self._live.put(patched)
        same = patched["metadata"].get("resourceVersion") == there["metadata"].get("resourceVersion")
        return "unchanged" if same and not dry_run else "configured"


def _told(error: Exception) -> str:
    return error.message if isinstance(error, ApiError) else str(error) or type(error).__name__


def _resource_name(key: Key) -> str:
    kind = key.kind.lower()
    return f"{kind}.{key.group}/{key.name}" if key.group else f"{kind}/{key.name}"


def _propagation(options: list[str]) -> str:
    for option in options:
        name, _, value = option.partition("=")
        if name == "PrunePropagationPolicy":
            return value.capitalize()
    return "Foreground"


def _selected(pair: Pair, resources: list[Mapping[str, str]]) -> bool:
    """Whether a partial sync (operation.sync.resources) includes the object."""
    return not resources or any(
        wanted.get("group", "") == pair.key.group
        and wanted.get("kind") == pair.key.kind
        and wanted.get("name") == pair.key.name
        and wanted.get("namespace", pair.key.namespace) in (pair.key.namespace, "")
        for wanted in resources
    )
