"""OpenLineage emission that never blocks a step and never loses an event.

`LineageEmitter` writes each event to a durable spool in the run folder first; a background thread sends them to Marquez
(`POST /api/v1/lineage`, https://openlineage.io/apidocs/openapi/) one after the other in the order they were emitted. While Marquez
cannot be reached the thread tries again with growing pauses. When a request ended without an answer, or a spool was left by a run
that crashed, Marquez is asked first whether it has the event already, so that none is counted twice.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from lifecycle.domain.errors import LifecycleError, ServiceError
from lifecycle.tools.openlineage_spool import Spool, Spooled

if TYPE_CHECKING:
    from lifecycle.domain.endpoints import MarquezEndpoint
    from lifecycle.domain.lineage import Dataset, SourceCode

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0
REQUEST_SECONDS = 10.0
CLOSE_SECONDS = 5.0


class _Unreachable(Exception):
    """The event was certainly not taken: try again."""


class _Unanswered(Exception):
    """The event may or may not have been taken: ask before trying again."""


class _Refused(Exception):
    """The event will never be taken."""


class LineageEmitter:
    """The run's lineage sink (see `loops.context.LineageSink`).

    `folder` holds the spool; `resolve` gives Marquez' endpoint and may block until Marquez is up: it is called in the
    background thread. Events left in the folder by an earlier process are sent first.
    """

    def __init__(self, folder: Path, resolve: Callable[[], MarquezEndpoint]) -> None:
        self._spool = Spool(folder)
        self._resolve = resolve
        self._changed = threading.Condition()
        self._closing = False
        self._trouble = ""
        # what an earlier process left may have been sent without the acknowledgement being written down
        self._in_doubt = self._spool.left > 0
        self._thread = threading.Thread(target=self._send_all, name="lineage-emitter", daemon=True)
        self._thread.start()

    @property
    def spool_file(self) -> Path:
        """Where the events lie, one JSON object per line."""
        return self._spool.path

    def emit(
        self,
        *,
        state: str,
        job: str,
        run_id: str,
        at: datetime,
        parent: tuple[str, str] | None,
        inputs: tuple[Dataset, ...] = (),
        outputs: tuple[Dataset, ...] = (),
        source_code: SourceCode | None = None,
        error: str = "",
    ) -> None:
        """Spool one run event and return; `parent` is (job name, run id), None for a flow's own run.

        Raises:
            ValueError: `state` is no OpenLineage event type, or a run id is no UUID.
        """
        from lifecycle.tools.openlineage_events import run_event

        line = run_event(
            state=state,
            job=job,
            run_id=run_id,
            at=at,
            parent=parent,
            inputs=inputs,
            outputs=outputs,
            source_code=source_code,
            error=error,
        )
        with self._changed:
            self._spool.append(line)
            self._changed.notify_all()

    def flush(self, deadline_s: float = 30) -> None:
        """Wait until Marquez has acknowledged everything emitted so far.

        Raises:
            ServiceError: some are left after `deadline_s` seconds, or Marquez refused some for good.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._spool.left == 0, timeout=deadline_s)
            left, trouble = self._spool.left, self._trouble
        if left:
            raise ServiceError(
                f"{left} lineage events are not acknowledged by Marquez after {deadline_s:g} s"
                + (f": {trouble}" if trouble else ""),
                fix=f"they are kept in {self._spool.path}; look at the log of Marquez in the run folder",
            )
        if self._spool.rejected:
            raise ServiceError(
                f"Marquez refused {len(self._spool.rejected)} lineage events; the first because {self._spool.rejected[0]}",
                fix=f"they are kept in {self._spool.rejected_path}",
            )

    def close(self) -> None:
        """Give what is left a few seconds to go out and end the thread; what does not make it stays in the spool."""
        with self._changed:
            self._changed.wait_for(lambda: self._spool.left == 0 or bool(self._trouble), timeout=CLOSE_SECONDS)
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)

    # --- the background thread

    def _send_all(self) -> None:
        pause = FIRST_PAUSE
        with httpx.Client(timeout=REQUEST_SECONDS, trust_env=False) as client:
            url = ""
            while (spooled := self._next()) is not None:
                try:
                    url = url or self._resolve().url.rstrip("/")
                    if not (self._in_doubt and self._has(client, url, spooled)):
                        self._post(client, url, spooled)
                    self._acknowledged(spooled)
                    pause = FIRST_PAUSE
                except _Refused as refused:
                    self._rejected(spooled, str(refused))
                except (LifecycleError, _Unreachable, _Unanswered) as error:
                    self._in_doubt = self._in_doubt or isinstance(error, _Unanswered)
                    self._rest(pause, str(error))
                    pause = min(pause * 2, LONGEST_PAUSE)

    def _next(self) -> Spooled | None:
        """The next event, once there is one; None when the emitter closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._spool.left > 0)
            return None if self._closing else self._spool.next()

    def _post(self, client: httpx.Client, url: str, spooled: Spooled) -> None:
        try:
            answer = client.post(
                f"{url}/api/v1/lineage", content=spooled.line, headers={"Content-Type": "application/json"}
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _Unreachable(f"{url}: {error}") from error
        except httpx.TransportError as error:
            raise _Unanswered(f"{url}: {type(error).__name__} {error}") from error
        if answer.status_code >= 500 or answer.status_code in (408, 429):
            raise _Unreachable(f"{url} answered {answer.status_code}")
        if not answer.is_success:
            raise _Refused(f"it answered {answer.status_code}: {answer.text[:300]}")

    def _has(self, client: httpx.Client, url: str, spooled: Spooled) -> bool:
        """Whether Marquez has the event already: same run, same type, same time."""
        event = json.loads(spooled.line)
        at = datetime.fromisoformat(event["eventTime"])
        window = {"after": _iso(at), "before": _iso(at + timedelta(milliseconds=1)), "limit": "100"}
        try:
            answer = client.get(f"{url}/api/v1/events/lineage", params=window)
        except httpx.TransportError as error:
            raise _Unreachable(f"{url}: {error}") from error
        if not answer.is_success:
            raise _Unreachable(f"{url} answered {answer.status_code}")
        return any(_same(event, other) for other in answer.json()["events"])

    def _acknowledged(self, spooled: Spooled) -> None:
        with self._changed:
            self._spool.acknowledge(spooled)
            self._in_doubt = False
            self._trouble = ""
            self._changed.notify_all()

    def _rejected(self, spooled: Spooled, reason: str) -> None:
        with self._changed:
            self._spool.reject(spooled, reason)
            self._changed.notify_all()

    def _rest(self, seconds: float, trouble: str) -> None:
        """Pause before the next attempt; closing ends the pause, a new event does not."""
        with self._changed:
            self._trouble = trouble
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closing, timeout=seconds)


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")


def _same(event: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(
        event["run"]["runId"] == other["run"]["runId"]
        and event["eventType"] == other.get("eventType")
        and datetime.fromisoformat(event["eventTime"])
        == datetime.fromisoformat(other["eventTime"].replace("Z", "+00:00"))
    )
