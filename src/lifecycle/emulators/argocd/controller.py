"""The application controller: one worker per Application, woken by changes of the Application, of its objects, and by time."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from lifecycle.emulators.argocd.compare import Comparer, Comparison
from lifecycle.emulators.argocd.diff import merge_patch_between
from lifecycle.emulators.argocd.health import health_of
from lifecycle.emulators.argocd.live import LiveObjects
from lifecycle.emulators.argocd.manifests import Object, key_of, tracked_by
from lifecycle.emulators.argocd.policy import (
    FINALIZER,
    REFRESH,
    Level,
    SelfHeal,
    auto_sync,
    conditions,
    history,
    in_progress,
    moment,
    parse_moment,
    refresh_needed,
    retry_at,
)
from lifecycle.emulators.argocd.project import DEFAULT_PROJECT, Project, spec_errors
from lifecycle.emulators.argocd.repository import Repositories
from lifecycle.emulators.argocd.sync import (
    COMPLETED,
    ERROR,
    FAILED,
    RUNNING,
    SUCCEEDED,
    TERMINATING,
    Outcome,
    Syncer,
)
from lifecycle.emulators.kube_client import ApiError, Connection, KubeClient, UnknownKind

log = logging.getLogger(__name__)

API = "argoproj.io/v1alpha1"
_COMPARED = ("ComparisonError", "SharedResourceWarning", "RepeatedResourceWarning", "ExcludedResourceWarning")
_REPOSITORY_GRACE_S = 180.0
_DELETION_DEADLINE_S = 600.0
_FIRST_RETRY_S = 0.2
_LAST_RETRY_S = 10.0


@dataclass
class _Worker:
    """What one Application's worker was asked for."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    level: Level | None = None
    repository_error_since: float | None = None
    task: asyncio.Task[None] | None = None

    def ask(self, level: Level | None = None) -> None:
        if level is not None:
            self.level = level if self.level is None else max(self.level, level)
        self.wake.set()


class Controller:
    """Watches Applications of one namespace and keeps the cluster as they say."""

    def __init__(
        self, connection: Connection, *, namespace: str, resync_s: float, heal: SelfHeal, folder: Path | None
    ) -> None:
        self._client = KubeClient(connection, user_agent="argocd-application-controller")
        self._namespace = namespace
        self._resync_s = resync_s
        self._heal = heal
        self._own_folder = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="lifecycle-argocd-"))
        self._live = LiveObjects(self._client, self._live_changed)
        self._comparer = Comparer(self._client, self._live, Repositories(self._folder))
        self._syncer = Syncer(self._client, self._live, self._comparer)
        self._applications: dict[str, Object] = {}
        self._projects: dict[str, Object] = {}
        self._projects_listed = asyncio.Event()
        self._workers: dict[str, _Worker] = {}

    async def run(self) -> None:
        """Run until cancelled; an error that is no answer of the API server or of git ends it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_projects())
            await self._make_default_project()
            await self._projects_listed.wait()
            async for event in self._client.follow(API, "Application", self._namespace):
                if event.type == "LISTED":
                    continue
                name = event.object["metadata"]["name"]
                if event.type == "DELETED":
                    self._applications.pop(name, None)
                    if (gone := self._workers.pop(name, None)) is not None and gone.task is not None:
                        gone.task.cancel()
                    continue
                self._applications[name] = event.object
                if name not in self._workers:
                    worker = self._workers[name] = _Worker()
                    worker.task = tasks.create_task(self._work(name, worker))
                self._workers[name].ask()

    async def close(self) -> None:
        await self._live.close()
        await self._client.close()
        if self._own_folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _follow_projects(self) -> None:
        async for event in self._client.follow(API, "AppProject", self._namespace):
            if event.type == "LISTED":
                self._projects_listed.set()
                continue
            name = event.object["metadata"]["name"]
            if event.type == "DELETED":
                self._projects.pop(name, None)
            else:
                self._projects[name] = event.object
            for application, worker in list(self._workers.items()):
                if self._applications.get(application, {}).get("spec", {}).get("project", "default") == name:
                    worker.ask(Level.RECENT)

    async def _make_default_project(self) -> None:
        """The default project, as Argo CD's own installation has it, unless there is one."""
        pause = _FIRST_RETRY_S
        while True:
            try:
                self._projects["default"] = await self._client.create(DEFAULT_PROJECT, self._namespace)
            except ApiError as error:
                if error.code == 409:
                    return
                log.info("the default project cannot be made yet: %s", error)  # the namespace may come later
            except (UnknownKind, httpx.TransportError) as error:
                log.info("the default project cannot be made yet: %r", error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_RETRY_S / 5)

    def _live_changed(self, old: Object | None, new: Object | None) -> None:
        """Wake the application of an object that changed in more than its status, or whose health changed."""
        if old is not None and new is not None and _essence(old) == _essence(new):
            return
        for application in {tracked_by(obj) for obj in (old, new) if obj is not None} - {""}:
            if application in self._workers:
                self._workers[application].ask(Level.RECENT)
        if old is None and new is None:
            return
        changed = key_of(new if new is not None else old or {})
        for application, worker in self._workers.items():
            listed = self._applications.get(application, {}).get("status", {}).get("resources") or []
            if any(
                (r.get("group", ""), r["kind"], r.get("namespace", ""), r.get("name", ""))
                == (changed.group, changed.kind, changed.namespace, changed.name)
                for r in listed
            ):
                worker.ask(Level.RECENT)

    # --- one Application

    async def _work(self, name: str, worker: _Worker) -> None:
        pause = _FIRST_RETRY_S
        delay: float | None = 0.0
        while True:
            if delay is None or delay > 0:
                try:
                    async with asyncio.timeout(delay):
                        await worker.wake.wait()
                except TimeoutError:
                    worker.ask()
            worker.wake.clear()
            try:
                delay = await self._step(name, worker)
                pause = _FIRST_RETRY_S
            except (ApiError, httpx.TransportError) as error:
                log.warning("application %s: %r; trying again in %.1f s", name, error, pause)
                delay, pause = pause, min(pause * 2, _LAST_RETRY_S)

    async def _step(self, name: str, worker: _Worker) -> float | None:
        """Do what there is to do; returns the seconds after which to look again."""
        app = await self._client.find(API, "Application", name, self._namespace)
        if app is None:
            return None
        app = {"apiVersion": API, "kind": "Application", **app}
        if app["metadata"].get("deletionTimestamp"):
            await self._finalize(app)
            return None
        wait: float | None = None
        if app.get("operation"):
            wait = await self._operate(app, worker)
            if wait == 0:
                return 0.0
            app = {"apiVersion": API, **await self._client.get(API, "Application", name, self._namespace)}
        now = datetime.now(UTC)
        level, worker.level = worker.level, None
        needed = refresh_needed(app, now, self._resync_s)
        if needed is not None or level is not None:
            try:
                again = await self._refresh(app, worker, max(found for found in (needed, level) if found is not None))
            except BaseException:
                worker.ask(level)
                raise
            wait = _sooner(wait, again)
        return _sooner(wait, self._resync_s)

    async def _refresh(self, app: Object, worker: _Worker, level: Level) -> float | None:
        """Compare, decide on automated sync, write the status; returns when to look again."""
        now = datetime.now(UTC)
        old = app.get("status") or {}
        status: Object = dict(old)
        project = self._project(app)
        errors = self._spec_errors(app, project)
        status["conditions"] = conditions(
            old.get("conditions") or [],
            ("InvalidSpecError", "UnknownError"),
            [("InvalidSpecError", text) for text in errors],
            now,
        )
        if errors or project is None:
            status["sync"] = {**(old.get("sync") or {}), "status": "Unknown"}
            status["sync"].setdefault("comparedTo", _compared_to(app))
            status["health"] = _health(old, "Unknown", now)
            status["reconciledAt"] = moment(now)
            await self._persist(app, old, status)
            return None
        source = app["spec"]["source"]
        recent = level == Level.RECENT and old.get("sync", {}).get("revision")
        revision = str(old["sync"]["revision"] if recent else source.get("targetRevision") or "HEAD")
        found = await self._comparer.compare(app, project, source, revision)
        if self._excused(found, worker, level):
            return None
        decided = auto_sync(app, found.status, found.revision, found.resources, now, self._heal)
        if decided.operation is not None:
            await self._start(app, decided.operation)
        status["conditions"] = conditions(status["conditions"], _COMPARED, found.conditions, now)
        shown = [("SyncError", decided.error)] if decided.error else []
        status["conditions"] = conditions(status["conditions"], ("SyncError",), shown, now)
        if level >= Level.LATEST or "reconciledAt" not in old:
            status["reconciledAt"] = moment(now)
        status["sync"] = {"status": found.status, "revision": found.revision, "comparedTo": _compared_to(app)}
        status["health"] = _health(old, found.health, now)
        status["resources"] = list(found.resources)
        status["sourceType"] = found.source_type
        status["controllerNamespace"] = self._namespace
        status["resourceHealthSource"] = "appTree"
        status["summary"] = {}
        await self._persist(app, old, status)
        return 0.0 if decided.operation is not None else decided.again_in_s

    def _excused(self, found: Comparison, worker: _Worker, level: Level) -> bool:
        """Whether a failure of git is not shown yet: a periodic comparison forgives it for a while."""
        if not found.error:
            worker.repository_error_since = None
            return False
        if level >= Level.FORCED:
            return False
        now = time.monotonic()
        if worker.repository_error_since is None:
            worker.repository_error_since = now
        return now - worker.repository_error_since <= _REPOSITORY_GRACE_S

    def _project(self, app: Object) -> Project | None:
        return self._projects.get(app["spec"].get("project") or "default")

    def _spec_errors(self, app: Object, project: Project | None) -> list[str]:
        if project is None:
            name = app["spec"].get("project") or "default"
            return [f"Application referencing project {name} which does not exist"]
        return spec_errors(app["spec"], project)

    async def _persist(self, app: Object, old: Object, new: Object) -> None:
        """Write what changed in the status, and take the refresh annotation away."""
        cleaned = {key: value for key, value in new.items() if value not in ([], "")}
        patch: Object = {}
        if change := merge_patch_between(old, cleaned):
            patch["status"] = change
        if REFRESH in (app["metadata"].get("annotations") or {}):
            patch["metadata"] = {"annotations": {REFRESH: None}}
        if patch:
            await self._patch(app, patch)

    async def _patch(self, app: Object, patch: Object) -> Object | None:
        """Patch the Application; None when it is gone."""
        try:
            return await self._client.patch(API, "Application", app["metadata"]["name"], self._namespace, patch)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    # --- operations

    async def _start(self, app: Object, operation: Object) -> None:
        """Set the operation unless another one came first."""
        version = app["metadata"]["resourceVersion"]
        try:
            await self._patch(app, {"metadata": {"resourceVersion": version}, "operation": operation})
        except ApiError as error:
            if error.code != 409:
                raise
            log.info("application %s changed, so its sync is decided anew", app["metadata"]["name"])
            self._workers[app["metadata"]["name"]].ask(Level.LATEST)

    async def _operate(self, app: Object, worker: _Worker) -> float | None:
        """Begin or go on with the operation; returns the seconds until a retry, 0 when the Application must be looked at anew."""
        operation = app["operation"]
        now = datetime.now(UTC)
        state = app["status"]["operationState"] if in_progress(app) else None
        if state is None:
            state = {"operation": operation, "phase": RUNNING, "startedAt": moment(now)}
            app = await self._write_state(app, state) or app
        elif state["phase"] == TERMINATING:
            await self._write_state(
                app, {**state, "phase": FAILED, "message": "Operation terminated", "finishedAt": moment(now)}
            )
            return 0.0
        elif state.get("finishedAt"):
            remaining = self._until_retry(state, now)
            if remaining > 0:
                return remaining
            state = {key: value for key, value in state.items() if key not in ("finishedAt", "syncResult")}
            state["message"] = f"Retrying operation. Attempt #{state.get('retryCount', 0)}"
            app = await self._write_state(app, state) or app
        project = self._project(app)
        if project is None:
            name = app["spec"].get("project") or "default"
            outcome = Outcome(ERROR, f'Failed to load application project: appproject "{name}" not found', {})
        else:
            errors = self._spec_errors(app, project)
            outcome = (
                Outcome(ERROR, "; ".join(f"InvalidSpecError: {text}" for text in errors), {})
                if errors
                else await self._syncer.sync(app, project, state["operation"])
            )
        wait = await self._finish(app, state, outcome)
        if outcome.phase in COMPLETED and not (state["operation"].get("sync") or {}).get("dryRun"):
            automated = bool((operation.get("initiatedBy") or {}).get("automated"))
            worker.ask(Level.LATEST if automated else Level.FORCED)
        return wait

    def _until_retry(self, state: Object, now: datetime) -> float:
        finished = parse_moment(state["finishedAt"])
        # a retry was counted when the attempt ended, so this wait is that of the attempt before
        return (
            retry_at(state["operation"].get("retry") or {}, finished, int(state.get("retryCount", 1)) - 1) - now
        ) / timedelta(seconds=1)

    async def _finish(self, app: Object, state: Object, outcome: Outcome) -> float | None:
        now = datetime.now(UTC)
        done: Object = {**state, "phase": outcome.phase, "message": outcome.message, "finishedAt": moment(now)}
        if outcome.result:
            done["syncResult"] = outcome.result
        retry = state["operation"].get("retry") or {}
        limit, retries = int(retry.get("limit", 0)), int(state.get("retryCount", 0))
        wait: float | None = None
        if outcome.phase in (FAILED, ERROR):
            if limit < 0 or retries < limit:
                try:
                    again = retry_at(retry, now, retries)
                except ValueError as error:
                    done["phase"] = ERROR
                    done["message"] += f" (failed to retry: {error})"
                else:
                    clock = again.strftime("%I:%M%p").lstrip("0")
                    done["phase"], done["retryCount"] = RUNNING, retries + 1
                    done["message"] += f". Retrying attempt #{retries + 1} at {clock}."
                    wait = max((again - now).total_seconds(), 0.01)
            elif retries:
                done["message"] += f" (retried {retries} times)."
        await self._write_state(app, done, outcome)
        return wait

    async def _write_state(self, app: Object, state: Object, outcome: Outcome | None = None) -> Object | None:
        """Write the operation's state; a completed one ends the operation, a successful whole sync goes into the history."""
        status = app.get("status") or {}
        new: Object = {"operationState": state}
        old: Object = {"operationState": status.get("operationState") or {}}
        sync = state["operation"].get("sync") or {}
        recorded = (
            outcome is not None and state["phase"] == SUCCEEDED and not sync.get("dryRun") and not sync.get("resources")
        )
        patch: Object = {"status": merge_patch_between(old, new)}
        if recorded and outcome is not None:
            entry = {
                "revision": outcome.result["revision"],
                "source": outcome.result["source"],
                "deployStartedAt": state["startedAt"],
                "deployedAt": state["finishedAt"],
                "initiatedBy": state["operation"].get("initiatedBy") or {},
            }
            limit = app["spec"].get("revisionHistoryLimit")
            patch["status"]["history"] = history(status.get("history") or [], entry, limit)
        if state["phase"] in COMPLETED:
            patch["operation"] = None
        return await self._patch(app, patch)

    # --- deletion

    async def _finalize(self, app: Object) -> None:
        """Delete what the Application owns, if its finalizer asks for that, then let it go."""
        name = app["metadata"]["name"]
        finalizers = app["metadata"].get("finalizers") or []
        own = [finalizer for finalizer in finalizers if finalizer.partition("/")[0] == FINALIZER]
        if not own:
            return
        propagation = "Background" if own[0].endswith("/background") else "Foreground"
        await self._live.follow(
            {
                (f"{r['group']}/{r['version']}" if r.get("group") else r["version"], r["kind"])
                for r in app.get("status", {}).get("resources") or []
            }
        )
        owned = self._live.of_application(name)
        for obj in owned:
            if not obj["metadata"].get("deletionTimestamp"):
                await self._client.delete(
                    obj["apiVersion"],
                    obj["kind"],
                    obj["metadata"]["name"],
                    obj["metadata"].get("namespace", ""),
                    propagation=propagation,
                )
        left = await self._live.wait_gone([key_of(obj) for obj in owned], _DELETION_DEADLINE_S)
        if left:
            log.warning("application %s: %d objects remaining for deletion", name, len(left))
            return
        kept = [finalizer for finalizer in finalizers if finalizer not in own]
        await self._patch(app, {"metadata": {"finalizers": kept or None}})


def _compared_to(app: Object) -> Object:
    return {"source": app["spec"].get("source") or {}, "destination": app["spec"].get("destination") or {}}


def _health(old: Object, status: str, now: datetime) -> Object:
    before = old.get("health") or {}
    return before if before.get("status") == status else {"status": status, "lastTransitionTime": moment(now)}


def _essence(obj: Object) -> tuple[Any, Any, Any]:
    """What of an object matters to its application."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in ("resourceVersion", "managedFields", "generation")}
    body = {key: value for key, value in obj.items() if key not in ("metadata", "status")}
    return (metadata, body, health_of(obj))


def _sooner(one: float | None, other: float | None) -> float | None:
    known = [seconds for seconds in (one, other) if seconds is not None]
    return min(known) if known else None
