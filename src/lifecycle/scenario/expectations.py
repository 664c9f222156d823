"""What each outcome of `then` may expect. The classes that judge them live in `lifecycle.outcomes`, one for each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lifecycle.domain.use_case import Record


class Bound(Record):
    """A range for a number."""

    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _bounds_something(self) -> Bound:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a bound needs at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is above at_most {self.at_most:g}: nothing could hold")
        return self

    def holds(self, value: float) -> bool:
        """A value that is not a number holds nothing."""
        above = self.at_least is None or value >= self.at_least
        below = self.at_most is None or value <= self.at_most
        return above and below and value == value

    def __str__(self) -> str:
        parts = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        parts += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        return " and ".join(parts)


class _SaysSomething(Record):
    @model_validator(mode="after")
    def _says_something(self) -> _SaysSomething:
        if not self.model_fields_set:
            raise ValueError(f"expects nothing: give at least one of {', '.join(type(self).model_fields)}")
        return self


class ModelExpectation(_SaysSomething):
    """Versions, champion and metrics as the model registry has them."""

    versions: int | None = Field(default=None, ge=0, description="how many versions the registry holds")
    champion: int | Literal["none"] | None = Field(default=None, description="the version the alias champion points to")
    gate: Literal["open", "closed"] | None = Field(default=None, description="what the gate said of the newest version")
    metrics: dict[str, Bound] = Field(default_factory=dict, description="bounds on the champion's metrics")


class ServingExpectation(_SaysSomething):
    """The inference service as Kubernetes has it and the traffic as the model servers counted it."""

    model_version: int | None = Field(default=None, ge=1, description="the version that serves")
    failed_requests: int | None = Field(default=None, ge=0, description="failed requests of all the story's traffic")
    p95_ms: Bound | None = Field(default=None, description="95th percentile of the traffic's latency in milliseconds")


class DataQualityExpectation(_SaysSomething):
    """A validation that found something."""

    failed: Literal[True] | None = Field(default=None, description="the validation stopped the run")
    column: str | None = Field(default=None, description="a column whose expectation failed")
    rule: str | None = Field(default=None, description="the expectation that failed, by its snake-case name")
    unexpected: int | None = Field(default=None, ge=1, description="how many rows did not meet it")


class PredictionsExpectation(_SaysSomething):
    """The prediction log in the bucket."""

    logged: int | Bound | None = Field(default=None, description="how many predictions the log holds")
    equal_model: Literal[True] | None = Field(
        default=None, description="every logged probability is what the registered model gives for the row"
    )


class CiExpectation(_SaysSomething):
    """Tests that were red."""

    failed: Literal[True] | None = Field(default=None, description="the team's tests stopped the run")
    test: str | None = Field(default=None, description="name of a test that failed")


class DriftExpectation(_SaysSomething):
    """The latest drift report."""

    detected: bool | None = None
    columns: tuple[str, ...] | None = Field(default=None, description="columns that drifted, at least these")
