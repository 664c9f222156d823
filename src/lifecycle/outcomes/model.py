"""`model`: versions, champion, gate and metrics, read back from MLflow."""

from __future__ import annotations

from lifecycle.domain.endpoints import MlflowEndpoint
from lifecycle.outcomes.base import Check, Finding, equal, outcome
from lifecycle.outcomes.world import World
from lifecycle.scenario.expectations import ModelExpectation


@outcome("model")
def judge(world: World, expectation: ModelExpectation) -> Finding:
    """Versions and aliases in the registry, metrics on the champion's MLflow run, the gate's word as tagged on the newest version."""
    name = world.story.use_case.training.model_name
    versions = sorted(world.stack.mlflow.versions(name), key=lambda version: int(version.version))
    champion = world.stack.mlflow.champion(name)
    checks: list[Check] = []
    if expectation.versions is not None:
        checks.append(equal("versions", expectation.versions, len(versions)))
    if expectation.champion is not None:
        checks.append(equal("champion", str(expectation.champion), champion.version if champion else "none"))
    if expectation.gate is not None:
        said = versions[-1].tags.get("gate", "not asked") if versions else "not asked: there is no version"
        checks.append(equal("gate", expectation.gate, said))
    metrics = dict(champion.metrics) if champion else {}
    for metric, bound in expectation.metrics.items():
        value = metrics.get(metric)
        shown = "missing" if value is None else f"{value:.4f}"
        checks.append(Check(f"{metric} {bound}", f"{metric} {shown}", value is not None and bound.holds(value)))
    return Finding(
        tuple(checks),
        read_from=f"MLflow registry, model {name} ({world.stack.endpoint(MlflowEndpoint).tracking_uri})",
        look_next="the steps train and gate in the report; the model's runs in MLflow",
        facts={
            "versions": [
                {"version": v.version, "run": v.run_id, "tags": dict(v.tags), "metrics": dict(v.metrics)}
                for v in versions
            ],
            "champion": champion.version if champion else None,
        },
    )
