"""The endpoints of the lineage itself: taking events, graphs, the event log, search and statistics."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lifecycle.emulators.marquez import graph
from lifecycle.emulators.marquez.calls import Answer, Call
from lifecycle.emulators.marquez.ingest import take
from lifecycle.emulators.marquez.names import ApiError, instant, node_id, parse_instant, parse_node_id
from lifecycle.emulators.marquez.store import Dataset, Job
from lifecycle.emulators.marquez.validation import RUN_EVENT

DEFAULT_DEPTH = 20
SEARCH_LIMIT = 10


def post_lineage(call: Call) -> Answer:
    take(call.store, call.body)
    return Answer(status=201)


def get_lineage(call: Call) -> Answer:
    at = parse_node_id(call.required("nodeId"))
    return Answer(graph.lineage(call.store, at, call.number("depth", DEFAULT_DEPTH)))


def get_column_lineage(call: Call) -> Answer:
    at = parse_node_id(call.required("nodeId"))
    downstream = call.query.get("withDownstream", "false").lower() == "true"
    if at.version and downstream:
        raise ApiError(400, "Node version cannot be specified when withDownstream is true")
    depth = call.number("depth", DEFAULT_DEPTH)
    return Answer(graph.column_lineage(call.store, at, depth, downstream=downstream))


def get_upstream_runs(call: Call) -> Answer:
    return Answer(graph.upstream_runs(call.store, call.required("runId"), call.number("depth", DEFAULT_DEPTH)))


def list_events(call: Call) -> Answer:
    """Run events in a window of event time (`after` included, `before` not), newest first unless asked otherwise."""
    after, before = _time(call, "after", "1970-01-01T00:00:00Z"), _time(call, "before", "2030-01-01T00:00:00Z")
    within = [each for each in call.store.events if after <= each.at < before]
    direction = call.query.get("sortDirection", "desc").lower()
    if direction not in ("asc", "desc"):
        raise ApiError(404, "HTTP 404 Not Found")
    runs = sorted(
        (each for each in within if each.kind == RUN_EVENT), key=lambda each: each.at, reverse=direction == "desc"
    )
    return Answer({"events": [each.event for each in call.page(runs)], "totalCount": len(within)})


def _time(call: Call, name: str, default: str) -> datetime:
    # a plus sign that was not encoded comes as a space
    text = call.query.get(name, default).replace(" ", "+")
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ApiError(400, f"query param {name}: {text!r} could not be parsed") from error


# --- search, statistics


def search(call: Call) -> Answer:
    query = call.required("q")
    kind = call.query.get("filter", "").upper()
    order = call.query.get("sort", "name").lower()
    if kind not in ("", "DATASET", "JOB") or order not in ("name", "updated_at"):
        raise ApiError(400, "query param filter must be one of [DATASET, JOB], sort one of [NAME, UPDATED_AT]")
    wanted = _like(query)
    things: list[tuple[str, Dataset | Job]] = []
    if kind != "JOB":
        things += [("dataset", each) for each in call.store.datasets.values()]
    if kind != "DATASET":
        things += [("job", each) for each in call.store.jobs.values()]
    namespace = call.query.get("namespace")
    found = [
        (type_, each)
        for type_, each in things
        if not each.hidden and wanted.search(each.name) and namespace in (None, each.namespace)
    ]
    found.sort(key=lambda pair: pair[1].name if order == "name" else instant(pair[1].updated_at))
    results = [
        {
            "type": type_.upper(),
            "name": each.name,
            "updatedAt": instant(each.updated_at),
            "namespace": each.namespace,
            "nodeId": node_id(type_, *each.key),
        }
        for type_, each in found[: call.number("limit", SEARCH_LIMIT)]
    ]
    return Answer({"totalCount": len(results), "results": results})


def _like(query: str) -> re.Pattern[str]:
    """SQL's ILIKE: % for any text, _ for one character."""
    pattern = "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in query)
    return re.compile(pattern, re.IGNORECASE)


def _hours(call: Call) -> list[tuple[datetime, datetime]]:
    """The hours of the last day; other periods are not kept."""
    if call.query.get("period", "").upper() != "DAY":
        raise ApiError(400, "Invalid period")
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return [(end - timedelta(hours=n), end - timedelta(hours=n - 1)) for n in range(24, 0, -1)]


def event_statistics(call: Call) -> Answer:
    told: list[dict[str, Any]] = []
    for begin, end in _hours(call):
        types = [str(each.event.get("eventType")).lower() for each in call.store.events if begin <= each.taken_at < end]
        counts = {name: types.count(name) for name in ("fail", "start", "complete", "abort")}
        told.append({"startInterval": instant(begin), "endInterval": instant(end), **counts})
    return Answer(told)


def counting(what: str) -> Callable[[Call], Answer]:
    """The endpoint that says how many of a thing there were at the end of each hour."""

    def count(call: Call) -> Answer:
        things: dict[Any, Any] = getattr(call.store, what)
        return Answer(
            [
                {
                    "startInterval": instant(begin),
                    "endInterval": instant(end),
                    "count": sum(1 for each in things.values() if each.created_at < end),
                }
                for begin, end in _hours(call)
            ]
        )

    return count
