"""The built-in kinds: what the server fills in, refuses and never lets change.

https://kubernetes.io/docs/reference/kubernetes-api/ ; only the rules that clients of these kinds meet.
Each kind has up to two functions: `complete(new, old)` changes the new object in place before it is judged, `judge(new, old)` gives
the causes that make it invalid; `old` is None for a creation.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from lifecycle.emulators.kubernetes.names import LABEL, name_causes
from lifecycle.emulators.kubernetes.status import ApiError, Cause, bad_request, forbidden, required, unsupported

Node = dict[str, Any]
Complete = Callable[[Node, Node | None], None]
Judge = Callable[[Node, Node | None], Iterator[Cause]]

_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")


# ------------------------------------------------------------------ Namespace, ConfigMap, Secret


def complete_namespace(new: Node, old: Node | None) -> None:
    new["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = new["metadata"].get("name", "")
    if old is None:
        new["spec"] = {"finalizers": ["kubernetes"]}
        new["status"] = {"phase": "Active"}


def complete_secret(new: Node, _: Node | None) -> None:
    new.setdefault("type", "Opaque")
    for key, value in (new.pop("stringData", None) or {}).items():
        new.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()


def decode_secret(new: Node) -> ApiError | None:
    """The error of a value that is no base64: it is met while decoding, before any validation."""
    for value in (new.get("data") or {}).values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            legal = re.match(r"[A-Za-z0-9+/]*", value)
            at = legal.end() if legal else 0
            words = f"illegal base64 data at input byte {at}"
            return bad_request(f'Secret in version "v1" cannot be handled as a Secret: {words}')
    return None


def _key_causes(new: Node) -> Iterator[Cause]:
    for field in ("data", "binaryData"):
        for key in new.get(field) or {}:
            if not re.fullmatch("[-._a-zA-Z0-9]+", key):
                yield Cause(
                    f"{field}[{key}]",
                    f"Invalid value: {json.dumps(key)}: a valid config key must consist of alphanumeric characters, '-', '_' or "
                    "'.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                )


def _immutability(new: Node, old: Node | None, *fields: str) -> Iterator[Cause]:
    if old is None or not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", "field is immutable when `immutable` is set")
    for field in fields:
        if new.get(field) != old.get(field):
            yield forbidden(field, "field is immutable when `immutable` is set")


def judge_config_map(new: Node, old: Node | None) -> Iterator[Cause]:
    yield from _key_causes(new)
    yield from _immutability(new, old, "data", "binaryData")


def judge_secret(new: Node, old: Node | None) -> Iterator[Cause]:
    yield from _key_causes(new)
    yield from _immutability(new, old, "data")
    if old is not None and new["type"] != old["type"]:
        yield Cause("type", f"Invalid value: {json.dumps(new['type'])}: field is immutable")


# ------------------------------------------------------------------ Service


def complete_service(new: Node, old: Node | None) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    new.setdefault("status", {"loadBalancer": {}})
    if spec["type"] == "ExternalName":
        return
    before = old["spec"] if old else {}
    for field in ("clusterIP", "clusterIPs"):
        if field in before and not spec.get(field):
            spec[field] = before[field]
    if spec.get("clusterIP") and old is not None and before.get("clusterIP") != spec["clusterIP"]:
        spec["clusterIPs"] = [spec["clusterIP"]]
    if spec.get("clusterIP"):
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")


def judge_service(new: Node, old: Node | None) -> Iterator[Cause]:
    spec = new["spec"]
    ports = spec.get("ports") or []
    if not ports and spec.get("type") != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    for index, port in enumerate(ports):
        here = f"spec.ports[{index}]"
        if len(ports) > 1 and not port.get("name"):
            yield required(f"{here}.name")
        yield from _port_range(port.get("port"), f"{here}.port")
        if isinstance(port.get("targetPort"), int):
            yield from _port_range(port["targetPort"], f"{here}.targetPort")
        yield from _one_of(port["protocol"], ("SCTP", "TCP", "UDP"), f"{here}.protocol")
    yield from _one_of(spec["type"], _SERVICE_TYPES, "spec.type")
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    before = old["spec"].get("clusterIP") if old else None
    if before and spec["type"] != "ExternalName" and spec.get("clusterIP") != before:
        shown = json.dumps(spec.get("clusterIPs", []), separators=(",", ":"))
        yield Cause("spec.clusterIPs[0]", f"Invalid value: {shown}: may not change once set")


def _port_range(port: Any, field: str) -> Iterator[Cause]:
    if not isinstance(port, int) or not 1 <= port <= 65535:
        yield Cause(field, f"Invalid value: {port or 0}: must be between 1 and 65535, inclusive")


def _one_of(value: str, words: tuple[str, ...], field: str) -> Iterator[Cause]:
    if value not in words:
        yield unsupported(field, json.dumps(value), words)


# ------------------------------------------------------------------ Pod and Deployment


def complete_pod_spec(spec: Node) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if "serviceAccountName" in spec:
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    for field in ("initContainers", "containers"):
        for container in spec.get(field) or ():
            _complete_container(container)


def _complete_container(container: Node) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    tag = container.get("image", "").rpartition("/")[2].partition(":")[2]
    container.setdefault("imagePullPolicy", "IfNotPresent" if tag not in ("", "latest") else "Always")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    limits = container["resources"].get("limits") or {}
    if limits:
        requests = container["resources"].setdefault("requests", {})
        for name, amount in limits.items():
            requests.setdefault(name, amount)
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            _complete_probe(container[probe])


def _complete_probe(probe: Node) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe.setdefault(field, value)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("scheme", "HTTP")
        probe["httpGet"].setdefault("path", "/")


def _pod_causes(spec: Node, path: str) -> Iterator[Cause]:
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    for field in ("initContainers", "containers"):
        names: set[str] = set()
        for index, container in enumerate(spec.get(field) or ()):
            here = f"{path}.{field}[{index}]"
            name = container.get("name", "")
            if not name:
                yield required(f"{here}.name")
            else:
                yield from name_causes(LABEL, name, f"{here}.name")
            if name and name in names:
                yield Cause(f"{here}.name", f"Duplicate value: {json.dumps(name)}", "FieldValueDuplicate")
            names.add(name)
            if not container.get("image"):
                yield required(f"{here}.image")
            yield from _container_port_causes(container, here)
    yield from _one_of(spec["restartPolicy"], ("Always", "OnFailure", "Never"), f"{path}.restartPolicy")


def _container_port_causes(container: Node, path: str) -> Iterator[Cause]:
    for number, port in enumerate(container.get("ports") or ()):
        if not port.get("containerPort"):
            yield required(f"{path}.ports[{number}].containerPort")
        else:
            yield from _port_range(port["containerPort"], f"{path}.ports[{number}].containerPort")


def complete_pod(new: Node, old: Node | None) -> None:
    spec = new.setdefault("spec", {})
    complete_pod_spec(spec)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    if old is None:
        new["status"] = {"phase": "Pending", "qosClass": "BestEffort"}


def judge_pod(new: Node, old: Node | None) -> Iterator[Cause]:
    yield from _pod_causes(new["spec"], "spec")
    if old is not None and _unchangeable(new["spec"]) != _unchangeable(old["spec"]):
        fields = ("containers[*].image", "initContainers[*].image", "activeDeadlineSeconds", "tolerations")
        words = ",".join(f"`spec.{field}`" for field in fields)
        yield forbidden(
            "spec",
            f"pod updates may not change fields other than {words} (only additions to existing tolerations),"
            "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        )


def _unchangeable(spec: Node) -> Node:
    kept = {key: value for key, value in spec.items() if key not in ("activeDeadlineSeconds", "tolerations")}
    for field in ("containers", "initContainers"):
        if field in kept:
            kept[field] = [{k: v for k, v in container.items() if k != "image"} for container in kept[field]]
    return kept


def complete_deployment(new: Node, _: Node | None) -> None:
    spec = new.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    strategy.setdefault("type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    complete_pod_spec(spec.setdefault("template", {}).setdefault("spec", {}))
    new.setdefault("status", {})


def judge_deployment(new: Node, old: Node | None) -> Iterator[Cause]:
    spec = new["spec"]
    if spec["replicas"] < 0:
        yield Cause("spec.replicas", f"Invalid value: {spec['replicas']}: must be greater than or equal to 0")
    selector = spec.get("selector")
    wanted = (selector or {}).get("matchLabels") or {}
    labels = spec["template"].get("metadata", {}).get("labels")
    if not selector:
        yield required("spec.selector")
    elif not wanted and not selector.get("matchExpressions"):
        shown = json.dumps(selector, separators=(",", ":"))
        yield Cause("spec.selector", f"Invalid value: {shown}: empty selector is invalid for deployment")
    if not selector or any((labels or {}).get(key) != value for key, value in wanted.items()):
        shown = json.dumps(labels, separators=(",", ":"))
        yield Cause(
            "spec.template.metadata.labels", f"Invalid value: {shown}: `selector` does not match template `labels`"
        )
    yield from _pod_causes(spec["template"]["spec"], "spec.template.spec")
    if old is not None and old["spec"].get("selector") != selector:
        shown = json.dumps(selector, separators=(",", ":"))
        yield Cause("spec.selector", f"Invalid value: {shown}: field is immutable")


# ------------------------------------------------------------------ Event, Lease, EndpointSlice, Endpoints


def complete_event(new: Node, _: Node | None) -> None:
    new.setdefault("source", {})
    for field in ("firstTimestamp", "lastTimestamp", "eventTime"):
        new.setdefault(field, None)
    for field in ("reportingComponent", "reportingInstance"):
        new.setdefault(field, "")


def judge_event(new: Node, _: Node | None) -> Iterator[Cause]:
    about = (new.get("involvedObject") or {}).get("namespace", "")
    if about != new["metadata"].get("namespace", "") and not (
        not about and new["metadata"].get("namespace") == "default"
    ):
        yield Cause("involvedObject.namespace", f"Invalid value: {json.dumps(about)}: does not match event.namespace")


def judge_lease(new: Node, _: Node | None) -> Iterator[Cause]:
    for field in ("leaseDurationSeconds",):
        value = (new.get("spec") or {}).get(field)
        if value is not None and value <= 0:
            yield Cause(f"spec.{field}", f"Invalid value: {value}: must be greater than 0")
    transitions = (new.get("spec") or {}).get("leaseTransitions")
    if transitions is not None and transitions < 0:
        yield Cause("spec.leaseTransitions", f"Invalid value: {transitions}: must be greater than or equal to 0")


def complete_endpoint_slice(new: Node, _: Node | None) -> None:
    for endpoint in new.setdefault("endpoints", []) or ():
        endpoint.setdefault("conditions", {})
    for port in new.get("ports") or ():
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def judge_endpoint_slice(new: Node, old: Node | None) -> Iterator[Cause]:
    kind = new.get("addressType")
    if not kind:
        yield required("addressType")
    else:
        yield from _one_of(kind, ("FQDN", "IPv4", "IPv6"), "addressType")
    if old is not None and old.get("addressType") != kind:
        yield Cause("addressType", f"Invalid value: {json.dumps(kind)}: field is immutable")
    for index, endpoint in enumerate(new.get("endpoints") or ()):
        if not endpoint.get("addresses"):
            yield required(f"endpoints[{index}].addresses", "must contain at least 1 address")


def complete_endpoints(new: Node, _: Node | None) -> None:
    for subset in new.get("subsets") or ():
        for port in subset.get("ports") or ():
            port.setdefault("protocol", "TCP")


COMPLETE: dict[str, Complete] = {
    "Namespace": complete_namespace,
    "Secret": complete_secret,
    "Service": complete_service,
    "Pod": complete_pod,
    "Deployment": complete_deployment,
    "Event": complete_event,
    "EndpointSlice": complete_endpoint_slice,
    "Endpoints": complete_endpoints,
}
JUDGE: dict[str, Judge] = {
    "ConfigMap": judge_config_map,
    "Secret": judge_secret,
    "Service": judge_service,
    "Pod": judge_pod,
    "Deployment": judge_deployment,
    "Event": judge_event,
    "Lease": judge_lease,
    "EndpointSlice": judge_endpoint_slice,
}
