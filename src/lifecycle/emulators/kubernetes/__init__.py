"""A Kubernetes API server in memory, for the kinds the lifecycle uses; the unchanged official clients and kubectl talk to it.

    from lifecycle.emulators.kubernetes.app import KubernetesConfig, create
    from lifecycle.emulators.kubernetes.kubeconfig import write_kubeconfig

Protocol: https://kubernetes.io/docs/reference/using-api/api-concepts/ and .../kubernetes-api/; the answers were compared with a
Kubernetes 1.34 API server by the conformance suite `lifecycle.testing.conformance.kubernetes`, which holds on both.

Covered: discovery, OpenAPI (enough for kubectl and the dynamic client), get, list (selectors, pages that stay consistent, Table and
metadata-only answers), watch (resourceVersion, initial events, bookmarks, 410 for too old), create, replace, JSON, merge and strategic
merge patch, server-side apply, delete and deletecollection (preconditions, finalizers, propagation), status and scale subresources,
dry run, field validation, generation, owner references, namespace life, CustomResourceDefinitions that serve their kind.

Known gaps: no authentication or RBAC; no admission webhooks, quotas or conversion between versions that differ; only the validation
rules of the kinds in `builtins.py`, `crd_gateway.py` and the schemas (no CEL); server-side apply removes what the same manager no
longer applies, but there are no conflicts between managers and plain updates leave no managedFields; nothing runs: Deployments are
not rolled out, Pods never start and end at once when deleted; service accounts get no tokens; events.k8s.io is not served;
protobuf and CBOR are not spoken; no exec, logs or proxy.
"""
