"""A request as the handlers see it, and what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.datastructures import QueryParams

from lifecycle.emulators.marquez.names import ApiError, ConstraintError, Key, check_namespace
from lifecycle.emulators.marquez.store import Store

DEFAULT_LIMIT = 100

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """Status and JSON body (None: no body)."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """One request: the decoded path parameters, the query and the parsed body."""

    store: Store
    parameters: Mapping[str, str]
    query: QueryParams
    body: Any

    @property
    def namespace(self) -> str:
        return check_namespace(self.parameters["namespace"])

    def key(self, name: str) -> Key:
        """(namespace, the named parameter) of a namespace that exists."""
        self.store.namespace(self.namespace)
        return (self.namespace, self.parameters[name])

    def object(self, *required: str) -> dict[str, Any]:
        """The body, which must be an object with these properties."""
        if not isinstance(self.body, dict):
            raise ApiError(400, "Unable to process JSON")
        missing = [f"{name} must not be null" for name in required if self.body.get(name) is None]
        if missing:
            raise ConstraintError(missing)
        return self.body

    def number(self, name: str, default: int) -> int:
        """A query parameter that is no negative number."""
        text = self.query.get(name)
        if text is None:
            return default
        try:
            value = int(text)
        except ValueError as error:
            raise ApiError(
                404, "HTTP 404 Not Found"
            ) from error  # what Jersey answers to a query parameter of a wrong type
        if value < 0:
            raise ApiError(400, f"query param {name} must be greater than or equal to 0")
        return value

    def page(self, found: Sequence[T], default_limit: int = DEFAULT_LIMIT) -> list[T]:
        """The part of the results that `limit` and `offset` ask for."""
        offset = self.number("offset", 0)
        return list(found[offset : offset + self.number("limit", default_limit)])

    def required(self, name: str) -> str:
        """A query parameter that must be there."""
        value = self.query.get(name)
        if not value:
            raise ApiError(400, f"query param {name} must not be null")
        return value
