"""Argo CD: Application and AppProject v1alpha1.

https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml and .../project.yaml (3.2). Neither has a status subresource:
the controller writes status with an ordinary patch. Settings of Helm, Kustomize and plugins are taken as they are.
"""

from __future__ import annotations

from lifecycle.emulators.kubernetes.definitions import Column, Definition, Node, root
from lifecycle.emulators.kubernetes.types import ANYTHING, BOOLEAN, array, integer, mapping, obj, text

GROUP = "argoproj.io"

_PAIRS = array(obj({"name": text(), "value": text()}, "name", "value"))
_SOURCE = obj(
    {
        "repoURL": text(),
        "path": text(),
        "targetRevision": text(),
        "chart": text(),
        "ref": text(),
        "name": text(),
        "directory": obj({"recurse": BOOLEAN, "include": text(), "exclude": text(), "jsonnet": ANYTHING}),
        "helm": ANYTHING,
        "kustomize": ANYTHING,
        "plugin": ANYTHING,
    },
    "repoURL",
)
_DESTINATION = obj({"name": text(), "namespace": text(), "server": text()})
_IGNORED = array(
    obj(
        {
            "group": text(),
            "kind": text(),
            "name": text(),
            "namespace": text(),
            "jqPathExpressions": array(text()),
            "jsonPointers": array(text()),
            "managedFieldsManagers": array(text()),
        },
        "kind",
    )
)
_RETRY = obj(
    {
        "limit": integer(),
        "refresh": BOOLEAN,
        "backoff": obj({"duration": text(), "factor": integer(), "maxDuration": text()}),
    }
)
_SYNC_POLICY = obj(
    {
        "automated": obj({"prune": BOOLEAN, "selfHeal": BOOLEAN, "allowEmpty": BOOLEAN, "enabled": BOOLEAN}),
        "managedNamespaceMetadata": obj({"annotations": mapping(text()), "labels": mapping(text())}),
        "retry": _RETRY,
        "syncOptions": array(text()),
    }
)
_SPEC = obj(
    {
        "project": text(),
        "source": _SOURCE,
        "sources": array(_SOURCE),
        "sourceHydrator": ANYTHING,
        "destination": _DESTINATION,
        "syncPolicy": _SYNC_POLICY,
        "ignoreDifferences": _IGNORED,
        "info": _PAIRS,
        "revisionHistoryLimit": integer(),
    },
    "destination",
    "project",
)
_INITIATED_BY = obj({"automated": BOOLEAN, "username": text()})
_OPERATION = obj(
    {
        "info": _PAIRS,
        "initiatedBy": _INITIATED_BY,
        "retry": _RETRY,
        "sync": obj(
            {
                "autoHealAttemptsCount": integer(),
                "dryRun": BOOLEAN,
                "manifests": array(text()),
                "prune": BOOLEAN,
                "resources": array(
                    obj({"group": text(), "kind": text(), "name": text(), "namespace": text()}, "kind", "name")
                ),
                "revision": text(),
                "revisions": array(text()),
                "source": _SOURCE,
                "sources": array(_SOURCE),
                "syncOptions": array(text()),
                "syncStrategy": ANYTHING,
            }
        ),
    }
)
_HEALTH = obj({"status": text(), "message": text(), "lastTransitionTime": text(format="date-time")})
_RESOURCE = {"group": text(), "version": text(), "kind": text(), "namespace": text(), "name": text(), "status": text()}
_SYNC_RESULT = obj(
    {
        "resources": array(
            obj(
                {
                    **_RESOURCE,
                    "message": text(),
                    "hookPhase": text(),
                    "hookType": text(),
                    "syncPhase": text(),
                    "images": array(text()),
                },
                "group",
                "kind",
                "name",
                "namespace",
                "version",
            )
        ),
        "revision": text(),
        "revisions": array(text()),
        "source": _SOURCE,
        "sources": array(_SOURCE),
        "managedNamespaceMetadata": ANYTHING,
    },
    "revision",
)
_HISTORY = obj(
    {
        "id": integer(),
        "revision": text(),
        "revisions": array(text()),
        "deployStartedAt": text(),
        "deployedAt": text(),
        "initiatedBy": _INITIATED_BY,
        "source": _SOURCE,
        "sources": array(_SOURCE),
    },
    "deployedAt",
    "id",
)
_STATUS = obj(
    {
        "conditions": array(obj({"type": text(), "message": text(), "lastTransitionTime": text()}, "message", "type")),
        "controllerNamespace": text(),
        "health": _HEALTH,
        "history": array(_HISTORY),
        "observedAt": text(),
        "operationState": obj(
            {
                "operation": _OPERATION,
                "phase": text(),
                "message": text(),
                "startedAt": text(),
                "finishedAt": text(),
                "retryCount": integer(),
                "syncResult": _SYNC_RESULT,
            },
            "operation",
            "phase",
            "startedAt",
        ),
        "reconciledAt": text(),
        "resourceHealthSource": text(),
        "resources": array(
            obj(
                {
                    **_RESOURCE,
                    "health": _HEALTH,
                    "hook": BOOLEAN,
                    "requiresPruning": BOOLEAN,
                    "requiresDeletionConfirmation": BOOLEAN,
                    "syncWave": integer(),
                }
            )
        ),
        "sourceHydrator": ANYTHING,
        "sourceType": text(),
        "sourceTypes": array(text()),
        "summary": obj({"externalURLs": array(text()), "images": array(text())}),
        "sync": obj(
            {
                "status": text(),
                "revision": text(),
                "revisions": array(text()),
                "comparedTo": obj(
                    {
                        "destination": _DESTINATION,
                        "ignoreDifferences": _IGNORED,
                        "source": _SOURCE,
                        "sources": array(_SOURCE),
                    },
                    "destination",
                ),
            },
            "status",
        ),
    }
)


def _kinds() -> Node:
    return array(obj({"group": text(), "kind": text(), "name": text()}, "group", "kind"))


_PROJECT = obj(
    {
        "description": text(maxLength=255),
        "sourceRepos": array(text()),
        "sourceNamespaces": array(text()),
        "destinations": array(_DESTINATION),
        "destinationServiceAccounts": array(
            obj(
                {"server": text(), "namespace": text(), "defaultServiceAccount": text()},
                "defaultServiceAccount",
                "server",
            )
        ),
        "clusterResourceBlacklist": _kinds(),
        "clusterResourceWhitelist": _kinds(),
        "namespaceResourceBlacklist": _kinds(),
        "namespaceResourceWhitelist": _kinds(),
        "orphanedResources": ANYTHING,
        "permitOnlyProjectScopedClusters": BOOLEAN,
        "roles": array({**ANYTHING, "required": ["name"]}),
        "signatureKeys": array(obj({"keyID": text()}, "keyID")),
        "syncWindows": array(ANYTHING),
    }
)

DEFINITIONS = (
    Definition(
        GROUP,
        "Application",
        "applications",
        ("v1alpha1",),
        root(_SPEC, _STATUS, "metadata", "spec", operation=_OPERATION),
        short_names=["app", "apps"],
        columns=(
            Column("Sync Status", "string", ".status.sync.status"),
            Column("Health Status", "string", ".status.health.status"),
            Column("Revision", "string", ".status.sync.revision", 10),
            Column("Project", "string", ".spec.project", 10),
        ),
    ),
    Definition(
        GROUP,
        "AppProject",
        "appprojects",
        ("v1alpha1",),
        root(_PROJECT, ANYTHING, "metadata", "spec"),
        short_names=["appproj", "appprojs"],
        columns=(),
    ),
)
