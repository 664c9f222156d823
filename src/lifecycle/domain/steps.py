"""The flows as a graph: what each step reads and writes, and which step waits for which. The single statement of it.

The obligations (`domain.obligations`) hold a run against this table, the reports draw it, the lineage events take their titles from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Node(StrEnum):
    """The places of the graph; which datasets stand there for a use case is said by `domain.obligations.datasets_at`."""

    TABLE = "table"
    RAW = "raw object"
    DATA_VERSION = "data version"
    FEATURE_VIEWS = "feature views"
    REPOSITORY = "training repository"
    IMAGE = "image"
    TRAINING_SET = "training set"
    HOLDOUT = "holdout"
    MODEL_VERSION = "model version"
    MODEL = "model"
    MANIFEST = "manifest"
    SERVICE = "service"
    PREDICTIONS = "prediction log"
    DRIFT_REPORT = "drift report"


@dataclass(frozen=True)
class Step:
    """One step; `code` is the node whose commit its source code facet must carry."""

    name: str
    title: str
    reads: tuple[Node, ...] = ()
    writes: tuple[Node, ...] = ()
    code: Node | None = None


_STEPS = (
    Step("extract", "Extract the source table to the lake", reads=(Node.TABLE,), writes=(Node.RAW,)),
    Step("validate", "Check the extract against the expectations", reads=(Node.RAW,)),
    Step("version_data", "Version the extract with DVC", reads=(Node.RAW,), writes=(Node.DATA_VERSION,)),
    Step("apply_features", "Apply the feature views", reads=(Node.RAW,), writes=(Node.FEATURE_VIEWS,)),
    Step("materialise", "Materialise the features to the online store", reads=(Node.FEATURE_VIEWS,)),
    Step("commit_code", "Commit the training code", writes=(Node.REPOSITORY,)),
    Step("ci", "Run the team's tests in a clean clone", reads=(Node.REPOSITORY,)),
    Step("build_image", "Build the training image", reads=(Node.REPOSITORY,), writes=(Node.IMAGE,)),
    Step(
        "train",
        "Train, evaluate and register the model",
        reads=(Node.FEATURE_VIEWS, Node.IMAGE, Node.DATA_VERSION),
        writes=(Node.TRAINING_SET, Node.HOLDOUT, Node.MODEL_VERSION),
        code=Node.REPOSITORY,
    ),
    Step("gate", "Hold the model against the gate", reads=(Node.MODEL_VERSION, Node.HOLDOUT)),
    Step("promote", "Promote the model version", reads=(Node.MODEL_VERSION,), writes=(Node.MODEL,)),
    Step(
        "commit_manifest",
        "Commit the manifest to the deployment repository",
        reads=(Node.MODEL_VERSION,),
        writes=(Node.MANIFEST,),
    ),
    Step("sync", "Sync the deployment and wait for the service", reads=(Node.MANIFEST,), writes=(Node.SERVICE,)),
    Step(
        "verify",
        "Compare served predictions with the model's own",
        reads=(Node.SERVICE, Node.HOLDOUT),
        writes=(Node.PREDICTIONS,),
    ),
    Step(
        "drift_report",
        "Hold the predictions against the training set",
        reads=(Node.PREDICTIONS, Node.TRAINING_SET),
        writes=(Node.DRIFT_REPORT,),
    ),
    Step("lineage", "Check the lineage for completeness"),
)

STEPS = MappingProxyType({step.name: step for step in _STEPS})


@dataclass(frozen=True)
class Flow:
    """A flow's steps in an order in which they may run; `after` says for each step which others it waits for."""

    name: str
    after: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(step for step, _ in self.after)

    def before(self, step: str) -> frozenset[str]:
        """Every step that must have ended well before this one could start."""
        waits_for = dict(self.after)
        found: set[str] = set()
        open_ = list(waits_for.get(step, ()))
        while open_:
            each = open_.pop()
            if each not in found:
                found.add(each)
                open_.extend(waits_for[each])
        return frozenset(found)


FLOWS = MappingProxyType(
    {
        "churn_prediction_pipeline": Flow(
            "churn_prediction_pipeline",
            (
                ("extract", ()),
                ("validate", ("extract",)),
                ("version_data", ("validate",)),
                ("apply_features", ("validate",)),
                ("materialise", ("apply_features",)),
                ("commit_code", ()),
                ("ci", ("commit_code",)),
                ("build_image", ("ci",)),
                ("train", ("version_data", "apply_features", "build_image")),
                ("gate", ("train",)),
                ("promote", ("gate",)),
                ("commit_manifest", ("promote",)),
                ("sync", ("commit_manifest",)),
                ("verify", ("sync",)),
                ("drift_report", ("verify",)),
                ("lineage", ("gate", "materialise")),
            ),
        ),
    }
)
