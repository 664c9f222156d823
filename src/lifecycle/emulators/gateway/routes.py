"""HTTPRoutes as a compiled table, and which rule a request belongs to. Pure: no I/O, no clock.

Precedence as in https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule: the more specific hostname, Exact path, longest prefix, method,
most headers, most query parameters, then the older route, its name, and the rule's place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

Json = Mapping[str, Any]
Headers = Mapping[str, str]  # lower-case names; values of a repeated header joined by commas


RawHeader = tuple[bytes, bytes]


def _raw(text: str) -> bytes:
    return text.encode("latin-1", "replace")


class Unsupported(ValueError):
    """The route asks for something this router does not do, or for nonsense; the text goes into its Accepted condition."""


@dataclass(frozen=True)
class BackendRef:
    """One backend of a rule; `problem` is the ResolvedRefs reason that makes it invalid, empty for a good one."""

    namespace: str
    name: str
    port: int
    weight: int
    problem: str = ""
    message: str = ""
    filters: Filters = field(default_factory=lambda: Filters())

    @property
    def label(self) -> str:
        return f"{self.namespace}/{self.name}:{self.port}"


@dataclass(frozen=True)
class HeaderChange:
    """Headers set, added and removed, names as given."""

    set: tuple[tuple[str, str], ...] = ()
    add: tuple[tuple[str, str], ...] = ()
    remove: tuple[str, ...] = ()

    def apply(self, headers: list[RawHeader]) -> list[RawHeader]:
        """The headers after the change; what was there is gathered in one line with what is added to it."""
        if not (self.set or self.add or self.remove):
            return headers
        gone = {_raw(name).lower() for name in (*self.remove, *(name for name, _ in self.set))}
        kept = [(name, value) for name, value in headers if name.lower() not in gone]
        kept += [(_raw(name), _raw(value)) for name, value in self.set]
        for name, value in self.add:
            lower = _raw(name).lower()
            before = [old for other, old in kept if other.lower() == lower]
            kept = [(other, old) for other, old in kept if other.lower() != lower]
            kept.append((_raw(name), b",".join([*before, _raw(value)])))
        return kept


@dataclass(frozen=True)
class PathChange:
    """ReplaceFullPath (`full`) or ReplacePrefixMatch (`prefix`); the other is None."""

    full: str | None = None
    prefix: str | None = None

    def apply(self, path: str, matched_prefix: str) -> str:
        if self.full is not None:
            return self.full
        if self.prefix is None:
            return path
        rest = path[len(matched_prefix.rstrip("/")) :]
        return self.prefix.rstrip("/") + ("/" + rest.lstrip("/") if rest else "") or "/"


@dataclass(frozen=True)
class Redirect:
    """RequestRedirect; empty parts are kept from the request."""

    status: int = 302
    scheme: str = ""
    hostname: str = ""
    port: int | None = None
    path: PathChange | None = None


@dataclass(frozen=True)
class Filters:
    """The filters of a rule or of one backend."""

    request_headers: HeaderChange = HeaderChange()
    response_headers: HeaderChange = HeaderChange()
    redirect: Redirect | None = None
    rewrite_hostname: str = ""
    rewrite_path: PathChange | None = None


@dataclass(frozen=True)
class Rule:
    """One rule of a route, ready to be applied; timeouts in seconds, None for none."""

    route: str  # namespace/name
    backends: tuple[BackendRef, ...]
    filters: Filters
    request_timeout_s: float | None = None
    backend_timeout_s: float | None = None
    cumulative: tuple[int, ...] = ()

    def choose(self, draw: Callable[[int], int]) -> BackendRef | None:
        """A backend by weight; `draw(n)` gives a number from 0 to n-1. None when nothing has weight."""
        if not self.cumulative or self.cumulative[-1] == 0:
            return None
        if len(self.cumulative) == 1:
            return self.backends[0]
        number = draw(self.cumulative[-1])
        for backend, edge in zip(self.backends, self.cumulative, strict=True):
            if number < edge:
                return backend
        raise AssertionError("a draw beyond the sum of the weights")


Test = Callable[[str], bool]


@dataclass(frozen=True)
class Match:
    """One match of a rule: all of it must hold."""

    rule: Rule
    path_kind: str
    path: str
    method: str
    headers: tuple[tuple[str, Test], ...]
    query: tuple[tuple[str, Test], ...]
    pattern: re.Pattern[str] | None
    rank: tuple[Any, ...]

    def holds(self, method: str, path: str, query: str, headers: Headers) -> bool:
        if self.method and self.method != method:
            return False
        if not self._path_holds(path):
            return False
        for name, test in self.headers:
            value = headers.get(name)
            if value is None or not test(value):
                return False
        if self.query:
            given: dict[str, str] = {}
            for name, value in parse_qsl(query, keep_blank_values=True):
                given.setdefault(name, value)
            return all(name in given and test(given[name]) for name, test in self.query)
        return True

    def _path_holds(self, path: str) -> bool:
        if self.path_kind == "PathPrefix":
            prefix = self.path
            return not prefix or (path.startswith(prefix) and (len(path) == len(prefix) or path[len(prefix)] == "/"))
        if self.path_kind == "Exact":
            return path == self.path
        return self.pattern is not None and self.pattern.search(path) is not None


class Table:
    """All matches by hostname, most specific first."""

    def __init__(self, entries: Sequence[tuple[str, Match]] = ()) -> None:
        self._exact: dict[str, list[Match]] = {}
        self._wildcards: list[tuple[str, list[Match]]] = []
        wild: dict[str, list[Match]] = {}
        for hostname, match in entries:
            if hostname.startswith("*.") or hostname == "":
                wild.setdefault(hostname[1:] if hostname else "", []).append(match)
            else:
                self._exact.setdefault(hostname.lower(), []).append(match)
        for matches in (*self._exact.values(), *wild.values()):
            matches.sort(key=lambda match: match.rank)
        self._wildcards = sorted(
            ((suffix.lower(), matches) for suffix, matches in wild.items()), key=lambda pair: -len(pair[0])
        )

    def find(self, host: str, method: str, path: str, query: str, headers: Headers) -> Match | None:
        """The match that wins for a request; `host` without a port, lower case."""
        for match in self._exact.get(host, ()):
            if match.holds(method, path, query, headers):
                return match
        for suffix, matches in self._wildcards:
            if not suffix or (host.endswith(suffix) and len(host) > len(suffix)):
                for match in matches:
                    if match.holds(method, path, query, headers):
                        return match
        return None


def intersection(listener: str, hostnames: Sequence[str]) -> list[str]:
    """The hostnames a route gets on a listener ("" stands for any); empty when they have none in common."""
    if not listener:
        return [name.lower() for name in hostnames] or [""]
    if not hostnames:
        return [listener.lower()]
    found = [_common(listener.lower(), name.lower()) for name in hostnames]
    return [name for name in found if name is not None]


def _common(one: str, other: str) -> str | None:
    if one == other:
        return one
    if one.startswith("*.") and other.endswith(one[1:]) and len(other) > len(one) - 1:
        return other  # the longer of two wildcards, or the exact name below a wildcard
    if other.startswith("*.") and one.endswith(other[1:]) and len(one) > len(other) - 1:
        return one
    return None


def matches_of(route: Json, rules: Sequence[Rule]) -> list[Match]:
    """All matches of a route; raises Unsupported."""
    meta = route["metadata"]
    age = (meta.get("creationTimestamp") or "", f"{meta.get('namespace', '')}/{meta['name']}")
    found = []
    for place, (spec, rule) in enumerate(zip(route.get("spec", {}).get("rules") or [{}], rules, strict=True)):
        found += [_match(match, rule, (*age, place)) for match in spec.get("matches") or [{}]]
    return found


def _match(spec: Json, rule: Rule, age: tuple[Any, ...]) -> Match:
    path = spec.get("path") or {}
    kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    if kind not in ("Exact", "PathPrefix", "RegularExpression"):
        raise Unsupported(f"path match type {kind}")
    headers = tuple((h["name"].lower(), _test(h)) for h in spec.get("headers") or ())
    query = tuple((q["name"], _test(q)) for q in spec.get("queryParams") or ())
    method = spec.get("method", "")
    order = {"Exact": 0, "PathPrefix": 1, "RegularExpression": 2}[kind]
    return Match(
        rule=rule,
        path_kind=kind,
        path=value.rstrip("/") if kind == "PathPrefix" else value,
        method=method,
        headers=headers,
        query=query,
        pattern=_pattern(value) if kind == "RegularExpression" else None,
        rank=(order, -len(value), not method, -len(headers), -len(query), *age),
    )


def _test(spec: Json) -> Test:
    value = spec["value"]
    if spec.get("type", "Exact") == "Exact":
        return lambda given: given == value
    pattern = _pattern(value)
    return lambda given: pattern.search(given) is not None


def _pattern(value: str) -> re.Pattern[str]:
    try:
        return re.compile(value)
    except re.error as error:
        raise Unsupported(f"regular expression {value!r}: {error}") from error


def filters_of(specs: Sequence[Json]) -> Filters:
    """The filters of a rule or backend; raises Unsupported."""
    parts: dict[str, Any] = {}
    for spec in specs:
        kind = spec.get("type")
        if kind == "RequestHeaderModifier":
            parts["request_headers"] = _header_change(spec.get("requestHeaderModifier") or {})
        elif kind == "ResponseHeaderModifier":
            parts["response_headers"] = _header_change(spec.get("responseHeaderModifier") or {})
        elif kind == "RequestRedirect":
            given = spec.get("requestRedirect") or {}
            parts["redirect"] = Redirect(
                status=given.get("statusCode", 302),
                scheme=given.get("scheme", ""),
                hostname=given.get("hostname", ""),
                port=given.get("port"),
                path=_path_change(given.get("path")),
            )
        elif kind == "URLRewrite":
            given = spec.get("urlRewrite") or {}
            parts["rewrite_hostname"] = given.get("hostname", "")
            parts["rewrite_path"] = _path_change(given.get("path"))
        else:
            raise Unsupported(f"filter {kind}")
    return Filters(**parts)


def _header_change(spec: Json) -> HeaderChange:
    return HeaderChange(
        set=tuple((h["name"], h["value"]) for h in spec.get("set") or ()),
        add=tuple((h["name"], h["value"]) for h in spec.get("add") or ()),
        remove=tuple(spec.get("remove") or ()),
    )


def _path_change(spec: Json | None) -> PathChange | None:
    if spec is None:
        return None
    if spec.get("type") == "ReplaceFullPath":
        return PathChange(full=spec.get("replaceFullPath", "/"))
    return PathChange(prefix=spec.get("replacePrefixMatch", "/"))


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration_s(text: str | None) -> float | None:
    """A GEP-2257 duration such as 1m30s in seconds; None for none and for zero, which means no limit."""
    if not text:
        return None
    parts = re.findall(r"(\d{1,5})(ms|h|m|s)", text)
    if "".join(number + unit for number, unit in parts) != text:
        raise Unsupported(f"duration {text!r}")
    return sum(int(number) * _UNITS[unit] for number, unit in parts) or None


def rule_of(route_name: str, spec: Json, backends: tuple[BackendRef, ...]) -> Rule:
    """A rule of a route with its backends already resolved; raises Unsupported."""
    timeouts = spec.get("timeouts") or {}
    cumulative, total = [], 0
    for backend in backends:
        total += backend.weight
        cumulative.append(total)
    return Rule(
        route=route_name,
        backends=backends,
        filters=filters_of(spec.get("filters") or ()),
        request_timeout_s=duration_s(timeouts.get("request")),
        backend_timeout_s=duration_s(timeouts.get("backendRequest")),
        cumulative=tuple(cumulative),
    )
