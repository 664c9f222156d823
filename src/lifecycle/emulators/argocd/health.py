"""Health of live objects, by the rules Argo CD 3.2 ships with (https://argo-cd.readthedocs.io/en/stable/operator-manual/health/)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

HEALTHY = "Healthy"
SUSPENDED = "Suspended"
PROGRESSING = "Progressing"
MISSING = "Missing"
DEGRADED = "Degraded"
UNKNOWN = "Unknown"
_FROM_BEST_TO_WORST = (HEALTHY, SUSPENDED, PROGRESSING, MISSING, DEGRADED, UNKNOWN)


@dataclass(frozen=True)
class Health:
    """One object's health and why."""

    status: str
    message: str = ""


def worst(statuses: Iterable[str]) -> str:
    """The worst of several; Healthy for none."""
    return max(statuses, key=_FROM_BEST_TO_WORST.index, default=HEALTHY)


def health_of(live: Object) -> Health | None:
    """The health of a live object, None for a kind that has none (a ConfigMap is simply there)."""
    if live["metadata"].get("deletionTimestamp"):
        return Health(PROGRESSING, "Pending deletion")
    rule = _RULES.get(_group_kind(live))
    return rule(live) if rule is not None else None


def missing_matters(group: str, kind: str) -> bool:
    """Whether a missing object of this kind makes its Application Missing.

    Argo CD asks its built-in Go rules and the kinds its own settings name; kinds whose rule is a bundled script, such as
    InferenceService, do not count while they are missing.
    """
    return (group, kind) in _MISSING_MATTERS


def _group_kind(obj: Object) -> tuple[str, str]:
    group, _, _version = str(obj["apiVersion"]).rpartition("/")
    return (group, str(obj["kind"]))


def _deployment(obj: Object) -> Health:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    if spec.get("paused"):
        return Health(SUSPENDED, "Deployment is paused")
    if obj["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return Health(
            PROGRESSING, "Waiting for rollout to finish: observed deployment generation less than desired generation"
        )
    name = obj["metadata"]["name"]
    if any(c.get("type") == "Progressing" and c.get("reason") == "ProgressDeadlineExceeded" for c in _conditions(obj)):
        return Health(DEGRADED, f'Deployment "{name}" exceeded its progress deadline')
    replicas = status.get("replicas", 0)
    updated = status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    wanted = spec.get("replicas")
    if wanted is not None and updated < wanted:
        return Health(
            PROGRESSING, f"Waiting for rollout to finish: {updated} out of {wanted} new replicas have been updated..."
        )
    if replicas > updated:
        return Health(
            PROGRESSING, f"Waiting for rollout to finish: {replicas - updated} old replicas are pending termination..."
        )
    if available < updated:
        return Health(
            PROGRESSING, f"Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        )
    return Health(HEALTHY)


def _stateful_set(obj: Object) -> Health:
    spec, status = obj.get("spec", {}), obj.get("status", {})
    if obj["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return Health(PROGRESSING, "Waiting for statefulset spec update to be observed...")
    wanted = spec.get("replicas", 1)
    if status.get("readyReplicas", 0) < wanted:
        return Health(PROGRESSING, f"Waiting for {wanted - status.get('readyReplicas', 0)} pods to be ready...")
    if status.get("updateRevision", "") != status.get("currentRevision", ""):
        updated = status.get("updatedReplicas", 0)
        return Health(PROGRESSING, f"waiting for statefulset rolling update to complete {updated} pods at revision ...")
    return Health(HEALTHY)


def _service(obj: Object) -> Health:
    if obj.get("spec", {}).get("type") == "LoadBalancer" and not obj.get("status", {}).get("loadBalancer", {}).get(
        "ingress"
    ):
        return Health(PROGRESSING)
    return Health(HEALTHY)


def _pod(obj: Object) -> Health:
    status = obj.get("status", {})
    phase = status.get("phase", "")
    containers = status.get("containerStatuses") or []
    waiting = [c["state"]["waiting"] for c in containers if c.get("state", {}).get("waiting")]
    for state in waiting:
        reason = state.get("reason", "")
        if reason.startswith("Err") or reason.endswith(("Error", "BackOff")):
            return Health(DEGRADED, state.get("message", ""))
    if phase == "Running":
        always = obj.get("spec", {}).get("restartPolicy", "Always") == "Always"
        ready = any(c.get("type") == "Ready" and c.get("status") == "True" for c in _conditions(obj))
        return Health(HEALTHY if always and ready else PROGRESSING, status.get("message", ""))
    known = {"Pending": PROGRESSING, "Succeeded": HEALTHY, "Failed": DEGRADED}
    return Health(known.get(phase, UNKNOWN), status.get("message", ""))


def _job(obj: Object) -> Health:
    true = {c.get("type"): c.get("message", "") for c in _conditions(obj) if c.get("status") == "True"}
    if "Failed" in true:
        return Health(DEGRADED, true["Failed"])
    if "Complete" in true:
        return Health(HEALTHY, true["Complete"])
    return Health(SUSPENDED, "Job is suspended") if "Suspended" in true else Health(PROGRESSING)


def _volume_claim(obj: Object) -> Health:
    known = {"Lost": DEGRADED, "Pending": PROGRESSING, "Bound": HEALTHY}
    return Health(known.get(obj.get("status", {}).get("phase", ""), UNKNOWN))


def _inference_service(obj: Object) -> Health:
    """Healthy when no condition but Stopped is False or Unknown and the model is up to date; a failed transition degrades it."""
    status = obj.get("status")
    if not status:
        return Health(PROGRESSING, "Waiting for InferenceService to report status...")
    said: list[str] = []
    transition = status.get("modelStatus", {}).get("transitionStatus", "UpToDate")
    if transition != "UpToDate":
        said.append(f"0: transitionStatus | {transition}")
    conditions = status.get("conditions")
    if conditions is None:
        return Health(PROGRESSING, "Waiting for InferenceService to report status...")
    for number, condition in enumerate(conditions, start=1):
        if condition.get("type") == "Stopped":
            if condition.get("status") == "True":
                return Health(SUSPENDED, "InferenceService is Stopped")
            continue
        if condition.get("status") != "True":
            told = (condition.get(key) for key in ("type", "status", "reason", "message"))
            said.append(f" | {number}: " + " | ".join(text for text in told if text))
    if not said:
        return Health(HEALTHY, "InferenceService is healthy.")
    failed = transition not in ("UpToDate", "InProgress")
    return Health(DEGRADED if failed else PROGRESSING, "".join(said))


def _route(obj: Object) -> Health:
    """By what each Gateway says in status.parents about the current generation of the route."""
    parents = [parent for parent in obj.get("status", {}).get("parents") or [] if _current(obj, parent)]
    for parent in parents:
        prefix = f"Parent {parent.get('parentRef', {}).get('name', '')}: "
        if (found := _refused(parent["conditions"], "Route")) is not None:
            return Health(found.status, prefix + found.message)
    if parents:
        return Health(HEALTHY, "HTTPRoute is healthy")
    return Health(PROGRESSING, "Waiting for HTTPRoute status")


def _current(obj: Object, parent: Object) -> bool:
    conditions = parent.get("conditions") or []
    generation = obj["metadata"].get("generation")
    observed = (c["observedGeneration"] for c in conditions if "observedGeneration" in c)
    return bool(conditions) and (generation is None or all(seen == generation for seen in observed))


def _gateway(obj: Object) -> Health:
    status = obj.get("status", {})
    if (found := _refused(status.get("conditions") or [], "Gateway")) is not None:
        return found
    for listener in status.get("listeners") or []:
        if (found := _refused(listener.get("conditions") or [], "Listener")) is not None:
            return Health(found.status, f"Listener: {found.message}")
    if status.get("conditions") or status.get("listeners"):
        return Health(HEALTHY, "Gateway is healthy")
    return Health(PROGRESSING, "Waiting for Gateway status")


def _refused(conditions: Iterable[Object], what: str) -> Health | None:
    by_type = {condition.get("type"): condition for condition in conditions}
    for kind in ("ResolvedRefs", "Accepted"):
        if kind in by_type and by_type[kind].get("status") == "False":
            return Health(DEGRADED, by_type[kind].get("message") or f"Failed condition: {kind}")
    if "Programmed" in by_type and by_type["Programmed"].get("status") != "True":
        return Health(PROGRESSING, by_type["Programmed"].get("message") or f"{what} is still being programmed")
    return None


def _application(obj: Object) -> Health:
    health = obj.get("status", {}).get("health", {})
    return Health(health.get("status", PROGRESSING), health.get("message", "")) if health else Health(PROGRESSING)


def _conditions(obj: Object) -> list[Object]:
    return obj.get("status", {}).get("conditions") or []


_RULES: dict[tuple[str, str], Callable[[Object], Health]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("", "Service"): _service,
    ("", "Pod"): _pod,
    ("", "PersistentVolumeClaim"): _volume_claim,
    ("batch", "Job"): _job,
    ("serving.kserve.io", "InferenceService"): _inference_service,
    ("gateway.networking.k8s.io", "HTTPRoute"): _route,
    ("gateway.networking.k8s.io", "Gateway"): _gateway,
    ("argoproj.io", "Application"): _application,
}
_MISSING_MATTERS = frozenset(
    {
        ("apps", "Deployment"),
        ("apps", "StatefulSet"),
        ("apps", "ReplicaSet"),
        ("apps", "DaemonSet"),
        ("networking.k8s.io", "Ingress"),
        ("apiregistration.k8s.io", "APIService"),
        ("", "Service"),
        ("", "PersistentVolumeClaim"),
        ("", "Pod"),
        ("", "ConfigMap"),  # named in the settings Argo CD installs
        ("batch", "Job"),
        ("autoscaling", "HorizontalPodAutoscaler"),
    }
)
