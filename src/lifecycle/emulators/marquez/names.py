"""Names, node ids, instants and errors as Marquez writes and checks them.

Node ids are `dataset:<namespace>:<name>`, `job:<namespace>:<name>`, `datasetField:<namespace>:<dataset>:<field>` and `run:<uuid>`, with
`#<version>` after them for one version. Namespaces contain colons themselves (`s3://lake`, `postgres://host:5432`), so a colon
before `//` or before a digit separates nothing.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

_NAMESPACE = re.compile(r"[a-zA-Z:;=/0-9_\-.@+]{1,1024}")
_SEPARATOR = re.compile(r":(?!//|\d+)")
_NODE_ID = re.compile(r"(dataset|datasetField|job|run):.*", re.DOTALL)

Key = tuple[str, str]


class ApiError(Exception):
    """An answer other than success; `code` is the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ConstraintError(Exception):
    """The body breaks a constraint: HTTP 422 with one sentence for each."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def not_found(what: str, name: str) -> ApiError:
    """The 404 that Marquez gives for a name it does not know."""
    return ApiError(404, f"{what} '{name}' not found.")


def check_namespace(name: str) -> str:
    """The name, if Marquez would take it."""
    if not _NAMESPACE.fullmatch(name):
        raise ApiError(
            400,
            f"namespace '{name}' must contain only letters (a-z, A-Z), numbers (0-9), underscores (_), at (@), plus (+), "
            "dashes (-), colons (:), equals (=), semicolons (;), slashes (/) or dots (.) with a maximum length of 1024 characters.",
        )
    return name


def now() -> datetime:
    return datetime.now(UTC)


def instant(at: datetime) -> str:
    """UTC with a Z, in microseconds, without a fraction when there is none."""
    text = at.astimezone(UTC).isoformat(timespec="microseconds" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """An ISO 8601 instant; without an offset it is UTC, beyond microseconds it is cut.

    Raises:
        ValueError: it is no such instant.
    """
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text)
    if "T" not in cut.upper():
        raise ValueError(f"{text!r} has no time")
    at = datetime.fromisoformat(cut)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def named_uuid(*parts: object) -> str:
    """A UUID (version 3, as Java's nameUUIDFromBytes) that is the same for the same parts."""
    text = ":".join("" if part is None else str(part) for part in parts)
    return str(uuid.UUID(bytes=hashlib.md5(text.encode(), usedforsecurity=False).digest(), version=3))


def run_uuid(run_id: str) -> str:
    """The run's id itself when it is a UUID, else one made from its text."""
    try:
        return str(uuid.UUID(run_id))
    except ValueError:
        return str(uuid.UUID(bytes=hashlib.md5(run_id.encode(), usedforsecurity=False).digest(), version=3))


def node_id(kind: str, *parts: str) -> str:
    return ":".join((kind, *parts))


@dataclass(frozen=True)
class NodeId:
    """A parsed node id; `field` only for a dataset field, `version` only when one was named."""

    kind: str
    namespace: str = ""
    name: str = ""
    field: str = ""
    version: str = ""

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)


def parse_node_id(text: str) -> NodeId:
    """The parts of a node id.

    Raises:
        ApiError: it is none.
    """
    if not _NODE_ID.fullmatch(text):
        raise ApiError(
            400, f"node ID ({text}) must start with 'dataset', 'datasetField', 'job' or 'run'",
        )  # fmt: skip
    plain, _, version = text.partition("#")
    kind, _, rest = plain.partition(":")
    if kind == "run":
        return NodeId("run", name=rest)
    parts = _SEPARATOR.split(rest)
    wanted = 3 if kind == "datasetField" else 2
    if len(parts) < wanted:
        raise ApiError(400, f"Expected NodeId of type {kind} with {wanted + 1} parts. Got: {text}")
    head, tail = parts[: wanted - 1], rest[sum(len(part) + 1 for part in parts[: wanted - 1]) :]
    if kind == "datasetField":
        return NodeId(kind, head[0], head[1], tail, version)
    return NodeId(kind, head[0], tail, "", version)
