"""Label and field selectors: parse once, match many.

Grammar: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#api and .../field-selectors/
Mistakes raise ValueError with the server's words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(r"\s*(?:(?P<symbol>==|!=|=|!|\(|\)|,|<|>)|(?P<word>[^\s=!(),<>]+))")
_NAME = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Requirement:
    """One condition on one key; `operator` is one of in, notin, exists, absent, gt, lt."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "absent":
                return value is None
            case _:
                return value is not None and _compares(value, self.operator, self.values[0])


def _compares(value: str, operator: str, bound: str) -> bool:
    if not re.fullmatch(r"[+-]?\d+", value):
        return False
    return int(value) > int(bound) if operator == "gt" else int(value) < int(bound)


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = [match.group("symbol") or match.group("word") for match in _TOKEN.finditer(text)]
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self) -> str:
        token = self.peek()
        self._at += 1
        return token


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k,l>3`; an empty text selects everything."""
    tokens = _Tokens(text)
    found: list[Requirement] = []
    while tokens.peek():
        found.append(_requirement(tokens))
        part = tokens.next()
        if part not in ("", ","):
            raise ValueError(f"unable to parse requirement: found '{part}', expected: ',' or 'end of string'")
        if part == "," and not tokens.peek():
            raise ValueError("unable to parse requirement: found '', expected: identifier after ','")
    return tuple(found)


def _requirement(tokens: _Tokens) -> Requirement:
    if tokens.peek() == "!":
        tokens.next()
        return Requirement(_key(tokens), "absent")
    key = _key(tokens)
    operator = tokens.peek()
    if operator in ("", ","):
        return Requirement(key, "exists")
    tokens.next()
    match operator:
        case "=" | "==":
            return Requirement(key, "in", (_value(tokens),))
        case "!=":
            return Requirement(key, "notin", (_value(tokens),))
        case ">" | "<":
            bound = _value(tokens)
            if not re.fullmatch(r"[+-]?\d+", bound):
                raise ValueError(
                    f"values[0][{key}]: Invalid value: \"{bound}\": for 'Gt', 'Lt' operators, the value must be an integer"
                )
            return Requirement(key, "gt" if operator == ">" else "lt", (bound,))
        case "in" | "notin":
            return Requirement(key, operator, _set(tokens))
        case _:
            raise ValueError(f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _key(tokens: _Tokens) -> str:
    key = tokens.next()
    if not _NAME.fullmatch(key):
        raise ValueError(f"unable to parse requirement: found '{key}', expected: !, identifier, or 'end of string'")
    return key


def _value(tokens: _Tokens) -> str:
    if tokens.peek() in ("", ","):
        return ""
    value = tokens.next()
    if not re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", value):
        raise ValueError(
            f'unable to parse requirement: values[0]: Invalid value: "{value}": a valid label value is expected'
        )
    return value


def _set(tokens: _Tokens) -> tuple[str, ...]:
    opening = tokens.next()
    if opening != "(":
        raise ValueError(f"unable to parse requirement: found '{opening}' expected: '('")
    values = [_value(tokens)]
    while (part := tokens.next()) == ",":
        values.append(_value(tokens))
    if part != ")":
        raise ValueError(f"unable to parse requirement: found '{part}', expected: ',', or ')'")
    return tuple(values)


def labels_match(requirements: Sequence[Requirement], found: Mapping[str, Any]) -> bool:
    """Whether an object's labels meet every requirement."""
    labels = found.get("metadata", {}).get("labels") or {}
    return all(requirement.matches(labels) for requirement in requirements)


@dataclass(frozen=True)
class FieldRequirement:
    """A field, by its path, that is (or is not) a text."""

    path: tuple[str, ...]
    value: str
    negated: bool

    def matches(self, found: Mapping[str, Any]) -> bool:
        at: Any = found
        for step in self.path:
            at = at.get(step) if isinstance(at, Mapping) else None
        text = "" if at is None else ("true" if at is True else "false" if at is False else str(at))
        return (text == self.value) is not self.negated


def parse_fields(text: str) -> tuple[FieldRequirement, ...]:
    """`metadata.name=a,metadata.namespace!=b`; which paths a resource knows is for the caller to check."""
    found: list[FieldRequirement] = []
    for term in text.split(","):
        if not term.strip():
            continue
        match = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", term.strip())
        if match is None:
            raise ValueError(f"invalid selector: '{term}'; can't understand '{term}'")
        found.append(FieldRequirement(tuple(match[1].split(".")), match[3], match[2] == "!="))
    return tuple(found)


def fields_match(requirements: Sequence[FieldRequirement], found: Mapping[str, Any]) -> bool:
    return all(requirement.matches(found) for requirement in requirements)
