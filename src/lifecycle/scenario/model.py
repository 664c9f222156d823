"""The scenario language: given this data, when these things happen, then these outcomes.

Every record is frozen and refuses keys it does not know. The JSON Schema that editors complete with (`lifecycle schema`) is made from
these classes, so their field descriptions are the language's reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from lifecycle.domain.use_case import Drift, GateRule, Record
from lifecycle.scenario.expectations import (
    CiExpectation,
    DataQualityExpectation,
    DriftExpectation,
    ModelExpectation,
    PredictionsExpectation,
    ServingExpectation,
)

FlowName = Literal["churn_prediction_pipeline"]
Protocol = Literal["v1", "v2"]
Scalar = bool | int | float | str | None


class Corruption(Record):
    """Rows of the source table whose column is overwritten before anything runs."""

    column: str = Field(description="a column of the use case's table")
    set: Scalar = Field(description="the value written; null empties the cell")
    rows: int = Field(ge=1, description="how many rows, chosen by the seed")


class TrainingOverride(Record):
    """What the scenario changes about the training."""

    parameters: dict[str, Any] = Field(description="handed to the team's train() over the use case's own parameters")


class ServingOverride(Record):
    """Service levels the scenario tightens or loosens."""

    error_rate: float | None = Field(default=None, ge=0, le=1, description="highest share of failed requests")
    p95_ms: float | None = Field(
        default=None, gt=0, description="highest 95th percentile of the latency in milliseconds"
    )


class Given(Record):
    """The world before the story: a use case, and what this story changes about it."""

    use_case: str = Field(description="name of a folder below fixtures/, or a path to a use_case.yaml")
    seed: int | None = Field(
        default=None, ge=0, le=2**31 - 1, description="of everything random in the run; default: the use case's"
    )
    rows: int | None = Field(default=None, ge=200, description="take only so many rows of the source data")
    corrupt: tuple[Corruption, ...] = Field(default=(), description="rows damaged in the source table")
    gate: tuple[GateRule, ...] | None = Field(default=None, min_length=1, description="replaces the use case's gate")
    training: TrainingOverride | None = None
    serving: ServingOverride | None = None
    drift: Drift | None = Field(default=None, description="replaces the use case's drift rule")


class RunParameters(Record):
    """Parameters of one flow run."""

    parameters: dict[str, Any] = Field(default_factory=dict, description="training parameters of this run only")


class RunVerb(Record):
    """Run one of the flows."""

    run: FlowName
    with_: RunParameters = Field(default=RunParameters(), alias="with", description="the run's parameters")

    def sentence(self) -> str:
        given = ", ".join(f"{key}={value}" for key, value in self.with_.parameters.items())
        return f"run {self.run}" + (f" with {given}" if given else "")


class Traffic(Record):
    """Requests with rows of the source table, sent through the gateway."""

    requests: int = Field(ge=1, le=1_000_000)
    users: int = Field(default=8, ge=1, le=256, description="requests under way at once")
    rate: float | None = Field(
        default=None, gt=0, description="requests per second (open loop); default: as fast as the users are answered"
    )
    protocol: Protocol = Field(default="v2", description="the inference protocol")


class TrafficVerb(Record):
    """Send traffic to the service."""

    traffic: Traffic

    def sentence(self) -> str:
        rate = f" at {self.traffic.rate:g} per second" if self.traffic.rate else ""
        return f"send {self.traffic.requests} requests{rate} by protocol {self.traffic.protocol}"


class Replacement(Record):
    """One piece of text replaced in a file of the repository; it must be there."""

    file: str
    find: str = Field(min_length=1)
    with_: str = Field(alias="with")


class Push(Record):
    """A commit to one of the team's repositories."""

    repository: Literal["training", "deployment"]
    message: str = Field(min_length=1)
    files: dict[str, str | None] = Field(default_factory=dict, description="path to new content; null removes the file")
    replace: tuple[Replacement, ...] = ()

    @model_validator(mode="after")
    def _changes_something(self) -> Push:
        if not self.files and not self.replace:
            raise ValueError("a push changes something: give files or replace")
        return self


class PushVerb(Record):
    """Push a commit."""

    push: Push

    def sentence(self) -> str:
        return f"push to the {self.push.repository} repository: {self.push.message}"


def _key_of(entry: Any, names: tuple[str, ...]) -> str | None:
    """The entry's one verb or outcome name: how the union below picks its class."""
    keys = (
        list(entry)
        if isinstance(entry, Mapping)
        else list(type(entry).model_fields)
        if isinstance(entry, Record)
        else []
    )
    return next((key for key in keys if key in names), str(keys[0]) if keys else None)


VERBS = ("run", "traffic", "push")


def _verb_of(entry: Any) -> str | None:
    return _key_of(entry, VERBS)


Verb = Annotated[
    Annotated[RunVerb, Tag("run")] | Annotated[TrafficVerb, Tag("traffic")] | Annotated[PushVerb, Tag("push")],
    Discriminator(_verb_of),
]


class ModelOutcome(Record):
    """The models in the registry."""

    model: ModelExpectation


class ServingOutcome(Record):
    """The service and how it answered the story's traffic."""

    serving: ServingExpectation | Literal["none"]


class LineageOutcome(Record):
    """Every obligation of the story is met in the graph as Marquez returns it."""

    lineage: Literal["complete"]


class DataQualityOutcome(Record):
    """What the validation of the extract found."""

    data_quality: DataQualityExpectation | Literal["passed"]


class PredictionsOutcome(Record):
    """The prediction log."""

    predictions: PredictionsExpectation


class CiOutcome(Record):
    """The team's own tests on the commit that was to be trained."""

    ci: CiExpectation | Literal["passed"]


class DriftOutcome(Record):
    """The latest drift report."""

    drift: DriftExpectation


OUTCOMES = ("model", "serving", "lineage", "data_quality", "predictions", "ci", "drift")


def _outcome_of(entry: Any) -> str | None:
    return _key_of(entry, OUTCOMES)


Outcome = Annotated[
    Annotated[ModelOutcome, Tag("model")]
    | Annotated[ServingOutcome, Tag("serving")]
    | Annotated[LineageOutcome, Tag("lineage")]
    | Annotated[DataQualityOutcome, Tag("data_quality")]
    | Annotated[PredictionsOutcome, Tag("predictions")]
    | Annotated[CiOutcome, Tag("ci")]
    | Annotated[DriftOutcome, Tag("drift")],
    Discriminator(_outcome_of),
]


class Scenario(Record):
    """One story. The file's name is its name."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="lower-case words joined by underscores")
    title: str = Field(min_length=1, max_length=200, description="the story in one line")
    description: str = Field(default="", description="why the story is told")
    given: Given
    when: tuple[Verb, ...] = Field(min_length=1)
    then: tuple[Outcome, ...] = Field(min_length=1, description="an empty list would hold whatever happens")


FLOW_NAMES: tuple[str, ...] = get_args(FlowName)
