"""`serving`: the service as Kubernetes has it, the traffic as the load saw it and as the model servers counted it."""

from __future__ import annotations

from typing import Literal

from lifecycle.domain.endpoints import KubernetesEndpoint
from lifecycle.outcomes.base import Check, Finding, equal, outcome
from lifecycle.outcomes.world import World
from lifecycle.scenario.expectations import ServingExpectation


@outcome("serving")
def judge(world: World, expectation: ServingExpectation | Literal["none"]) -> Finding:
    """Ready and of the expected version by the InferenceService's status; failures by the load and by the servers' own counters."""
    service = world.story.use_case.serving.service
    kubernetes = world.stack.endpoint(KubernetesEndpoint)
    state = world.stack.kserve.state(service)
    read_from = f"InferenceService {kubernetes.namespace}/{service} ({kubernetes.url})"
    look_next = f"kubectl -n {kubernetes.namespace} describe inferenceservice {service}; logs of the model server in the run folder"
    if expectation == "none":
        there = "there is no InferenceService" if state is None else f"there is one, ready {state.ready}"
        return Finding((Check("no InferenceService", there, state is None),), read_from, look_next)
    checks: list[Check] = []
    if expectation.model_version is not None:
        ready = state is not None and state.ready
        found = (
            "there is no InferenceService"
            if state is None
            else f"version {state.model_version}, {'ready' if ready else 'not ready'}"
        )
        held = ready and state is not None and state.model_version == str(expectation.model_version)
        checks.append(Check(f"version {expectation.model_version}, ready", found, held))
    sent = sum(result.requests for result in world.traffic)
    failed = sum(result.failed for result in world.traffic)
    if expectation.failed_requests is not None:
        checks.append(equal("failed requests", expectation.failed_requests, failed))
        checks.append(Check("traffic was sent", f"{sent} requests sent", sent > 0))
        counted = world.stack.kserve.server_counts(service)
        answered = sent - failed
        checks.append(
            Check(
                f"the servers counted at least {answered} answers",
                f"they counted {counted.succeeded}",
                counted.succeeded >= answered,
            )
        )
    if expectation.p95_ms is not None:
        worst = max((result.p95_ms for result in world.traffic), default=float("nan"))
        checks.append(Check(f"p95 {expectation.p95_ms} ms", f"p95 {worst:.1f} ms", expectation.p95_ms.holds(worst)))
    facts = {"requests": sent, "failed": failed, "state": vars(state) if state is not None else None}
    return Finding(tuple(checks), read_from + ", the servers' metrics", look_next, facts)
