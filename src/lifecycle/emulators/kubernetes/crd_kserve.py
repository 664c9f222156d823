"""KServe: InferenceService v1beta1, ServingRuntime and ClusterServingRuntime v1alpha1.

https://kserve.github.io/website/docs/reference/crd-api (0.20). The pod fields are those of the built-in PodSpec; parts the lifecycle
does not use (autoscaling, model cars, helper containers) are taken as they are.
"""

from __future__ import annotations

from lifecycle.emulators.kubernetes.definitions import AGE, Column, Definition, Node, root
from lifecycle.emulators.kubernetes.types import ANYTHING, BOOLEAN, array, fields, integer, mapping, obj, text

GROUP = "serving.kserve.io"


def _container_fields() -> dict[str, Node]:
    """A container's fields with the one default the definitions state, the protocol of a port."""
    found = fields("Container")
    port = fields("ContainerPort") | {"protocol": text(default="TCP")}
    found["ports"] = {**found["ports"], "items": obj(port, "containerPort")}
    return found


_CONTAINER = obj(_container_fields(), "name")


def _atomic(items: Node) -> Node:
    return {"type": "array", "items": items}


def _pod_fields() -> dict[str, Node]:
    """A pod's fields as the definitions have them: lists of containers and volumes are replaced as a whole."""
    found = fields("PodSpec")
    for name in ("volumes", "imagePullSecrets", "hostAliases", "tolerations"):
        found[name] = _atomic(found[name]["items"])
    for name in ("containers", "initContainers"):
        found[name] = _atomic(_CONTAINER)
    del found["ephemeralContainers"]
    return found


_STORAGE = obj({"key": text(), "path": text(), "schemaPath": text(), "parameters": mapping(text())})
_MOUNT = text(default="/mnt/models", maxLength=255, pattern="^/.*")
_IMPLEMENTATION = {
    **_container_fields(),
    "storageUri": text(),
    "storage": _STORAGE,
    "runtimeVersion": text(),
    "protocolVersion": text(),
    "confidential": obj({"enabled": BOOLEAN, "resourceId": text()}, "enabled"),
}
_MODEL = obj(
    {**_IMPLEMENTATION, "modelFormat": obj({"name": text(), "version": text()}, "name"), "runtime": text()},
)
_LOGGER = obj(
    {
        "url": text(),
        "mode": text(enum=["all", "request", "response"]),
        "metadataHeaders": array(text()),
        "metadataAnnotations": array(text()),
        "marshallerUrl": text(),
        "batchSize": integer(),
        "batchInterval": text(),
        "storage": ANYTHING,
    }
)
_COMPONENT: dict[str, Node] = {
    "annotations": mapping(text()),
    "labels": mapping(text()),
    "autoScaling": ANYTHING,
    "batcher": obj({"maxBatchSize": integer(), "maxLatency": integer(), "timeout": integer()}),
    "canaryTrafficPercent": integer(),
    "containerConcurrency": integer(),
    "deploymentStrategy": ANYTHING,
    "logger": _LOGGER,
    "maxReplicas": integer(),
    "minReplicas": integer(),
    "scaleMetric": text(enum=["cpu", "memory", "concurrency", "rps"]),
    "scaleMetricType": text(enum=["Utilization", "Value", "AverageValue"]),
    "scaleTarget": integer(),
    "storageUris": array(obj({"uri": text(minLength=1), "mountPath": _MOUNT}, "uri"), minItems=1),
    "timeout": integer(),
}
_FRAMEWORKS = (
    "huggingface",
    "lightgbm",
    "onnx",
    "paddle",
    "pmml",
    "pytorch",
    "sklearn",
    "tensorflow",
    "triton",
    "xgboost",
)


def _predictor() -> Node:
    frameworks = {name: obj(_IMPLEMENTATION) for name in _FRAMEWORKS}
    name = text(pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    own = {"model": _MODEL, "name": name, "storageContainerName": text(), "workerSpec": ANYTHING}
    return obj({**_pod_fields(), **_COMPONENT, **frameworks, **own})


def _component(**more: Node) -> Node:
    return obj({**_pod_fields(), **_COMPONENT, **more})


_ADDRESS = obj({"url": text(), "name": text(), "CACerts": text(), "audience": text()})
_TRAFFIC = obj(
    {
        "configurationName": text(),
        "latestRevision": BOOLEAN,
        "percent": integer(),
        "revisionName": text(),
        "tag": text(),
        "url": text(),
    }
)
_COMPONENT_STATUS = obj(
    {
        "address": _ADDRESS,
        "grpcUrl": text(),
        "latestCreatedRevision": text(),
        "latestReadyRevision": text(),
        "latestRolledoutRevision": text(),
        "previousRolledoutRevision": text(),
        "restUrl": text(),
        "traffic": array(_TRAFFIC),
        "url": text(),
    }
)
_STATES = ["", "Pending", "Standby", "Loading", "Loaded", "FailedToLoad"]
_TRANSITIONS = ["", "UpToDate", "InProgress", "BlockedByFailedLoad", "InvalidSpec"]
_MODEL_STATUS = obj(
    {
        "copies": obj({"failedCopies": integer(default=0), "totalCopies": integer()}, "failedCopies"),
        "lastFailureInfo": ANYTHING,
        "states": obj(
            {
                "activeModelState": text(enum=_STATES, default="Pending"),
                "targetModelState": text(enum=_STATES, default=""),
            },
            "activeModelState",
        ),
        "transitionStatus": text(enum=_TRANSITIONS, default="UpToDate"),
    },
    "transitionStatus",
)
_CONDITION = obj(
    {
        "type": text(),
        "status": text(),
        "reason": text(),
        "message": text(),
        "severity": text(),
        "lastTransitionTime": text(),
    },
    "status",
    "type",
)
_STATUS = {
    **obj(
        {
            "address": _ADDRESS,
            "annotations": mapping(text()),
            "components": mapping(_COMPONENT_STATUS),
            "conditions": array(_CONDITION),
            "deploymentMode": text(),
            "modelStatus": _MODEL_STATUS,
            "observedGeneration": integer(),
            "servingRuntimeName": text(),
            "clusterServingRuntimeName": text(),
            "url": text(),
        }
    ),
    "x-kubernetes-preserve-unknown-fields": True,
}
_CANARY = obj(
    {"predictor": _predictor(), "trafficPercent": integer(0, 100)},
    "predictor",
    "trafficPercent",
)
_SERVICE = root(
    obj(
        {
            "predictor": _predictor(),
            "transformer": _component(),
            "explainer": _component(art=obj({**_IMPLEMENTATION, "type": text(), "config": mapping(text())})),
            "canary": {**array(_CANARY), "x-kubernetes-list-type": "atomic"},
        },
        "predictor",
    ),
    _STATUS,
)

_FORMAT = obj({"name": text(), "version": text(), "autoSelect": BOOLEAN, "priority": integer(1)}, "name")
_RUNTIME_SPEC = obj(
    {
        "affinity": ANYTHING,
        "annotations": mapping(text()),
        "builtInAdapter": ANYTHING,
        "containers": _atomic(_CONTAINER),
        "disabled": BOOLEAN,
        "grpcDataEndpoint": text(),
        "grpcEndpoint": text(),
        "hostIPC": BOOLEAN,
        "httpDataEndpoint": text(),
        "imagePullSecrets": _pod_fields()["imagePullSecrets"],
        "labels": mapping(text()),
        "multiModel": BOOLEAN,
        "nodeSelector": mapping(text()),
        "protocolVersions": array(text()),
        "replicas": integer(),
        "schedulerName": text(),
        "storageHelper": ANYTHING,
        "supportedModelFormats": array(_FORMAT),
        "tolerations": _pod_fields()["tolerations"],
        "volumes": _pod_fields()["volumes"],
        "workerSpec": ANYTHING,
    },
    "containers",
)
_RUNTIME = root(_RUNTIME_SPEC, ANYTHING)


def _traffic(chosen: str, field: str) -> str:
    return f".status.components.predictor.traffic[?({chosen})].{field}"


_RUNTIME_COLUMNS = (
    Column("Disabled", "boolean", ".spec.disabled"),
    Column("ModelType", "string", ".spec.supportedModelFormats[*].name"),
    Column("Containers", "string", ".spec.containers[*].name"),
    AGE,
)

DEFINITIONS = (
    Definition(
        GROUP,
        "InferenceService",
        "inferenceservices",
        ("v1beta1",),
        _SERVICE,
        short_names=["isvc"],
        status_subresource=True,
        columns=(
            Column("URL", "string", ".status.url"),
            Column("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
            Column("Prev", "integer", _traffic("@.tag=='prev'", "percent")),
            Column("Latest", "integer", _traffic("@.latestRevision==true", "percent")),
            Column("PrevRolledoutRevision", "string", _traffic("@.tag=='prev'", "revisionName")),
            Column("LatestReadyRevision", "string", _traffic("@.latestRevision==true", "revisionName")),
            AGE,
        ),
    ),
    Definition(
        GROUP,
        "ServingRuntime",
        "servingruntimes",
        ("v1alpha1",),
        _RUNTIME,
        columns=_RUNTIME_COLUMNS,
    ),
    Definition(
        GROUP,
        "ClusterServingRuntime",
        "clusterservingruntimes",
        ("v1alpha1",),
        _RUNTIME,
        namespaced=False,
        columns=_RUNTIME_COLUMNS,
    ),
)
