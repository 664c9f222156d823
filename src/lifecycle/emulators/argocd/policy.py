"""The controller's decisions over an Application: refresh or not, sync by itself or not, retry when. Pure functions over the object.

https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from lifecycle.emulators.argocd.sync import COMPLETED, SUCCEEDED

Object = Mapping[str, Any]

REFRESH = "argocd.argoproj.io/refresh"
FINALIZER = "resources-finalizer.argocd.argoproj.io"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_HISTORY_KEPT = 10


class Level(IntEnum):
    """How much is compared anew: against the commit compared last, against git as it is now, the latter with errors told at once."""

    RECENT = 1
    LATEST = 2
    FORCED = 3


@dataclass(frozen=True)
class SelfHeal:
    """Back-off between self-heal attempts on one revision, in seconds; Argo CD's own defaults."""

    first_s: float = 2.0
    factor: float = 3.0
    cap_s: float = 300.0
    cooldown_s: float = 330.0


@dataclass(frozen=True)
class AutoSync:
    """What automated sync decided: an operation to start, a SyncError to show, or to look again after some seconds; else nothing."""

    operation: dict[str, Any] | None = None
    error: str = ""
    again_in_s: float | None = None


def moment(at: datetime) -> str:
    """A time as Kubernetes writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def seconds(duration: str) -> float:
    """A Go duration such as 5s or 1m30s; a bare number is seconds."""
    if re.fullmatch(r"\d+", duration):
        return float(duration)
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"invalid duration {duration!r}")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def refresh_needed(app: Object, now: datetime, resync_s: float) -> Level | None:
    """Why, by the object alone, the Application must be compared anew; None when it need not."""
    annotations = app["metadata"].get("annotations") or {}
    status = app.get("status") or {}
    compared = status.get("sync", {}).get("comparedTo", {})
    if annotations.get(REFRESH):
        return Level.FORCED
    if app["spec"].get("source") != compared.get("source"):
        return Level.FORCED
    reconciled = status.get("reconciledAt")
    if not reconciled or parse_moment(reconciled) + timedelta(seconds=resync_s) < now:
        return Level.LATEST
    return Level.LATEST if app["spec"].get("destination") != compared.get("destination") else None


def in_progress(app: Object) -> bool:
    state = (app.get("status") or {}).get("operationState") or {}
    return bool(state) and state.get("phase") not in COMPLETED


def auto_sync(
    app: Object, status: str, revision: str, resources: Iterable[Object], now: datetime, heal: SelfHeal
) -> AutoSync:
    """Whether to sync by itself after a comparison found `status` at `revision`."""
    policy = app["spec"].get("syncPolicy") or {}
    automated = policy.get("automated")
    listed = list(resources)
    if automated is None or automated.get("enabled") is False or app.get("operation") or status != "OutOfSync":
        return AutoSync()
    if app["metadata"].get("deletionTimestamp"):
        return AutoSync()
    prune = bool(automated.get("prune"))
    if not prune and all(r.get("status") == "Synced" or r.get("requiresPruning") for r in listed):
        return AutoSync()
    source = app["spec"]["source"]
    sync: dict[str, Any] = {"source": source, "revision": revision}
    if prune:
        sync["prune"] = True
    if policy.get("syncOptions"):
        sync["syncOptions"] = list(policy["syncOptions"])
    operation = {"initiatedBy": {"automated": True}, "retry": policy.get("retry", {"limit": 5}), "sync": sync}
    if _attempted(app, revision):
        state = app["status"]["operationState"]
        if state["phase"] != SUCCEEDED:
            last = state.get("syncResult", {}).get("revision", "")
            return AutoSync(error=f"Failed last sync attempt to [{last}]: {state.get('message', '')}")
        if not automated.get("selfHeal"):
            return AutoSync()
        attempts, wait = _heal_attempts(state, now, heal)
        if wait > 0:
            return AutoSync(again_in_s=wait)
        sync["autoHealAttemptsCount"] = attempts + 1
        sync["resources"] = [
            {key: r[key] for key in ("group", "kind", "name") if r.get(key)}
            for r in listed
            if r.get("status") != "Synced"
        ]
    if prune and not automated.get("allowEmpty") and all(r.get("requiresPruning") for r in listed):
        return AutoSync(error=f"Skipping sync attempt to [{revision}]: auto-sync will wipe out all resources")
    return AutoSync(operation)


def _attempted(app: Object, revision: str) -> bool:
    state = (app.get("status") or {}).get("operationState")
    if not state:
        return False
    result = state.get("syncResult")
    if result is None:
        return state.get("phase") in COMPLETED
    return bool(result.get("revision") == revision and result.get("source") == app["spec"]["source"])


def _heal_attempts(state: Object, now: datetime, heal: SelfHeal) -> tuple[int, float]:
    """Attempts so far within the cooldown, and the seconds to wait before the next."""
    finished = state.get("finishedAt")
    since = (now - parse_moment(finished)).total_seconds() if finished else 0.0
    attempts = 0
    if since < heal.cooldown_s:
        attempts = int(state.get("operation", {}).get("sync", {}).get("autoHealAttemptsCount", 0))
    delay = min(heal.first_s * heal.factor ** (attempts - 1), heal.cap_s) if attempts else 0.0
    return attempts, delay - since


def retry_at(retry: Object, finished: datetime, retries: int) -> datetime:
    """When a failed operation is tried again: 5 s, doubled each time, at most 3 minutes, unless the retry says otherwise."""
    backoff = retry.get("backoff") or {}
    delay = seconds(str(backoff.get("duration") or "5s")) * float(backoff.get("factor") or 2) ** retries
    return finished + timedelta(seconds=min(delay, seconds(str(backoff.get("maxDuration") or "3m"))))


def conditions(
    old: Iterable[Object], evaluated: Iterable[str], found: Iterable[tuple[str, str]], now: datetime
) -> list[dict[str, Any]]:
    """The status conditions after some types were evaluated anew; an unchanged one keeps its time."""
    types = set(evaluated)
    times = {(c["type"], c.get("message", "")): c.get("lastTransitionTime") for c in old}
    kept = [dict(condition) for condition in old if condition["type"] not in types]
    new = [
        {"type": type_, "message": text, "lastTransitionTime": times.get((type_, text)) or moment(now)}
        for type_, text in found
    ]
    return sorted(kept + new, key=lambda condition: (condition["type"], condition["message"]))


def history(old: Iterable[Object], entry: Mapping[str, Any], limit: int | None) -> list[dict[str, Any]]:
    """The history with one more deployment; the newest ten are kept unless spec.revisionHistoryLimit says otherwise."""
    entries = [dict(known) for known in old]
    number = max((int(known.get("id", 0)) for known in entries), default=-1) + 1
    kept = _HISTORY_KEPT if limit is None else limit
    return [*entries, {"id": number, **entry}][-kept:] if kept > 0 else []
