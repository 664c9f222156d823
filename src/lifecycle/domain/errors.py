"""The errors a user meets, each with the place and the fix.

Three results are kept apart, because a merge gate must tell them apart: an outcome that did not hold (exit 1), invalid input (exit 2)
and a harness or service error (exit 3).
"""

from __future__ import annotations


class LifecycleError(Exception):
    """Base of every error this project raises on purpose; `fix` says what to do about it."""

    exit_code = 3

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message


class InvalidInput(LifecycleError):
    """What the user wrote (a scenario, a use case, an option) cannot be meant; exit code 2."""

    exit_code = 2


class ServiceError(LifecycleError):
    """A service of the tier did not start, did not answer or answered with an error; exit code 3."""


class StepStopped(LifecycleError):
    """A step rightly refused to go on (bad data, red tests, a closed gate); the story may expect it, so it is no harness error.

    `step` is the step that stopped the run, `reason` a short machine-readable word such as `data_quality`, `ci`.
    """

    exit_code = 1

    def __init__(self, message: str, *, step: str, reason: str, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.step = step
        self.reason = reason
