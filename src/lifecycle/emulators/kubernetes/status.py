"""Errors as the API server sends them: an object of kind Status.

Shape: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True)
class Cause:
    """One reason why an object is invalid: the words of the server, and the field they are about."""

    field: str
    message: str
    reason: str = "FieldValueInvalid"

    def body(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.message, "field": self.field}


def required(field: str, message: str = "") -> Cause:
    return Cause(field, f"Required value: {message}" if message else "Required value", "FieldValueRequired")


def forbidden(field: str, message: str) -> Cause:
    return Cause(field, f"Forbidden: {message}", "FieldValueForbidden")


def unsupported(field: str, value: str, supported: Sequence[str]) -> Cause:
    words = ", ".join(f'"{word}"' for word in supported)
    return Cause(field, f"Unsupported value: {value}: supported values: {words}", "FieldValueNotSupported")


@dataclass(frozen=True)
class Subject:
    """What an error is about. `group` is empty for the core group; `kind` is the plural of the resource."""

    kind: str
    name: str = ""
    group: str = ""

    @property
    def qualified(self) -> str:
        return f"{self.kind}.{self.group}" if self.group else self.kind

    def details(self) -> dict[str, Any]:
        return {key: value for key, value in (("name", self.name), ("group", self.group), ("kind", self.kind)) if value}


class ApiError(Exception):
    """An answer that is an error; `body` is the Status."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
        }
        if reason:
            self.body["reason"] = reason
        if details is not None:
            self.body["details"] = details
        self.body["code"] = code


def not_found(subject: Subject) -> ApiError:
    return ApiError(404, "NotFound", f'{subject.qualified} "{subject.name}" not found', subject.details())


def no_such_resource() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(subject: Subject) -> ApiError:
    message = f'{subject.qualified} "{subject.name}" already exists'
    return ApiError(409, "AlreadyExists", message, subject.details())


def conflict(subject: Subject, why: str = MODIFIED) -> ApiError:
    message = f'Operation cannot be fulfilled on {subject.qualified} "{subject.name}": {why}'
    return ApiError(409, "Conflict", message, subject.details())


def invalid(subject: Subject, causes: Sequence[Cause]) -> ApiError:
    words = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = words[0] if len(words) == 1 else f"[{', '.join(words)}]"
    details = {**subject.details(), "causes": [cause.body() for cause in causes]}
    return ApiError(422, "Invalid", f'{subject.qualified} "{subject.name}" is invalid: {listed}', details)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    words = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {words}"
    return ApiError(415, "UnsupportedMediaType", message)


def patch_refused() -> ApiError:
    """A JSON patch whose operations do not fit the object; the real server says no more than this either."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def expired(message: str = "The resourceVersion for the provided list is too old.") -> ApiError:
    return ApiError(410, "Expired", message)


def too_large_version(asked: int, current: int) -> ApiError:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})
