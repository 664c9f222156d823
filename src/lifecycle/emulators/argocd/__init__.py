"""Argo CD's application controller and repository server, for Applications whose source is a folder of plain manifests in git.

    from lifecycle.emulators.argocd.app import ArgoCDConfig, create

It has no API of its own, as Argo CD core has none: everything goes through Application objects (argoproj.io/v1alpha1) in the Kubernetes API,
by https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml. What it writes was compared with Argo CD 3.2.11 by the
conformance suite `lifecycle.testing.conformance.argocd`, which holds on both.

Covered: git sources over every transport git has (branch, tag, commit, HEAD; folder, recursion, include and exclude), comparison with the
live objects (three-way: given fields, and fields given before and given no longer), automated sync with prune and self-heal (with Argo CD's
own back-off), sync by the `operation` field (whole, partial, dry run, other revision), retries, CreateNamespace, Prune=false,
IgnoreExtraneous, tracking by annotation, the refresh annotation, history, cascading deletion, AppProjects (repositories, destinations,
kinds), and health of Application, Deployment, StatefulSet, Service, Pod, Job, PersistentVolumeClaim, InferenceService, HTTPRoute and Gateway.

Known gaps: Helm, Kustomize, Jsonnet and plugins, several sources, hooks, waiting between sync waves (they are applied in order), sync
windows, ignoreDifferences, server-side apply and Replace, other clusters than its own, credentials for repositories beyond what git finds
by itself, quantities written differently (1 and 1000m differ), status.summary, custom health rules. Each of them that an Application asks
for makes a ComparisonError or an operation error saying so, as Argo CD does for what it cannot render. Only kinds that an
Application has, or had, are watched, not the whole cluster.
"""
