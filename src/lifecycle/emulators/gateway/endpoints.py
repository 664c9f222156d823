"""What the proxy asks the rest of the router: the routing table, the endpoints behind a backend, and where counts go."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from lifecycle.emulators.gateway.routes import BackendRef, Table

Address = tuple[str, int]


class Board:
    """The state shared by controller (writes) and proxy (reads); both live on one event loop, so a plain object will do."""

    def __init__(self, seed: int | None) -> None:
        self.table = Table()
        self.endpoints: Mapping[tuple[str, str, int], Sequence[Address]] = {}
        self.counts: Counter[tuple[str, str, int]] = Counter()
        self.synced = False
        self._turns: Counter[tuple[str, str, int]] = Counter()
        generator = random.Random(seed)  # noqa: S311 - it spreads load, it guards nothing
        self.draw = generator.randrange

    def addresses(self, backend: BackendRef) -> list[Address]:
        """The backend's ready endpoints in the order to try them: round robin."""
        key = (backend.namespace, backend.name, backend.port)
        found = self.endpoints.get(key) or ()
        if len(found) < 2:
            return list(found)
        turn = self._turns[key] % len(found)
        self._turns[key] = turn + 1
        return [*found[turn:], *found[:turn]]

    def live(self) -> set[Address]:
        """Every address that stands behind some backend."""
        return {address for addresses in self.endpoints.values() for address in addresses}

    def count(self, route: str, backend: str, status: int) -> None:
        self.counts[route, backend, status] += 1

    def metrics(self) -> bytes:
        """The counts in Prometheus' text format."""
        lines = [
            "# HELP lifecycle_gateway_requests_total Requests by route, backend and status code",
            "# TYPE lifecycle_gateway_requests_total counter",
        ]
        for (route, backend, status), number in sorted(self.counts.items()):
            labels = f'route="{route}",backend="{backend}",code="{status}"'
            lines.append(f"lifecycle_gateway_requests_total{{{labels}}} {number}")
        return ("\n".join(lines) + "\n").encode()
