"""The lineage emitter: nothing lost, order kept, nothing twice, and never in a step's way."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lifecycle.domain.endpoints import MarquezEndpoint
from lifecycle.domain.errors import ServiceError
from lifecycle.domain.lineage import Column, ColumnLineage, ColumnSource, Dataset, DatasetKind, Quality, SourceCode
from lifecycle.emulators.marquez.app import MarquezConfig, create
from lifecycle.testing.serving import serve
from lifecycle.tools.marquez import Marquez
from lifecycle.tools.openlineage import LineageEmitter
from lifecycle.tools.openlineage_spool import Spool

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
FLOW = "churn_prediction_pipeline"


def raw() -> Dataset:
    return Dataset(
        DatasetKind.OBJECT,
        "s3://lake",
        "raw/customers",
        columns=(Column("tenure", "int64"),),
        version="abc",
        source_uri="s3://user:secret@lake/raw/customers/abc.parquet",
        quality=Quality(7, 100, (("tenure", 2),)),
        column_lineage=(ColumnLineage("tenure", (ColumnSource("postgres://source", "customers", "tenure"),)),),
        facts=(("chunks", "3"),),
    )


def emit(emitter: LineageEmitter, number: int, state: str = "START") -> str:
    run_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"run {number}"))
    at = BEGIN + timedelta(seconds=number)
    emitter.emit(state=state, job=f"{FLOW}.step{number}", run_id=run_id, at=at, parent=(FLOW, str(uuid.UUID(int=1))))
    return run_id


@pytest.fixture
def marquez_url() -> Iterator[str]:
    with serve(create(MarquezConfig())) as url:
        yield url


def run_ids(url: str) -> list[str]:
    return [event["run"]["runId"] for event in Marquez(MarquezEndpoint(url)).events()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_every_facet_of_a_dataset_arrives(tmp_path: Path, marquez_url: str) -> None:
    """Schema, source, version, quality, column lineage, kind and facts are read back from Marquez; credentials are not."""
    emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(marquez_url))
    table = Dataset(DatasetKind.TABLE, "postgres://source", "customers", columns=(Column("tenure", "integer"),))
    run_id = str(uuid.uuid4())
    code = SourceCode("file:///repositories/training.git", "0123abc")
    for state in ("START", "COMPLETE"):
        emitter.emit(
            state=state, job=f"{FLOW}.extract", run_id=run_id, at=BEGIN, parent=(FLOW, str(uuid.uuid4())),
            inputs=(table,), outputs=(raw(),), source_code=code,
        )  # fmt: skip
    emitter.flush(20)
    emitter.close()
    marquez = Marquez(MarquezEndpoint(marquez_url))
    found = marquez.dataset("s3://lake", "raw/customers")
    assert set(found.facets) == {
        "schema", "dataSource", "version", "dataQualityMetrics", "columnLineage", "documentation", "lifecycle_node"
    }  # fmt: skip
    assert (found.kind, found.version, found.rows, found.fact("chunks")) == ("object", "abc", 7, "3")
    assert found.source_uri == "s3://lake/raw/customers/abc.parquet"
    (run,) = marquez.runs("lifecycle", f"{FLOW}.extract")
    assert (run.inputs, run.outputs) == ((table.key,), (raw().key,))
    assert marquez.commit_of(run_id) == "0123abc"
    (column,) = marquez.column_lineage("dataset:s3://lake:raw/customers")
    assert column.source == ("postgres://source", "customers", "tenure")


def test_a_failed_step_says_why(tmp_path: Path, marquez_url: str) -> None:
    """FAIL carries the error message, without credentials."""
    emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(marquez_url))
    emitter.emit(
        state="FAIL", job=f"{FLOW}.extract", run_id=str(uuid.uuid4()), at=BEGIN, parent=None,
        error="cannot reach postgresql://user:secret@host/db",
    )  # fmt: skip
    emitter.flush(20)
    emitter.close()
    (run,) = Marquez(MarquezEndpoint(marquez_url)).runs("lifecycle", f"{FLOW}.extract")
    assert (run.state, run.error) == ("FAILED", "cannot reach postgresql://host/db")


def test_events_emitted_while_marquez_is_down_arrive_in_order_once(tmp_path: Path) -> None:
    """Down first, up later: all events are there, in the order of emission, none twice."""
    address: list[str] = [f"http://127.0.0.1:{free_port()}"]
    emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(address[0]))
    first = [emit(emitter, number) for number in range(5)]
    with pytest.raises(ServiceError, match="5 lineage events are not acknowledged"):
        emitter.flush(0.2)
    emitter.close()
    with serve(create(MarquezConfig())) as url:
        later = LineageEmitter(tmp_path, lambda: MarquezEndpoint(url))
        second = [emit(later, number) for number in range(5, 8)]
        later.flush(20)
        later.close()
        assert run_ids(url) == first + second


def test_emission_does_not_wait_for_the_endpoint(tmp_path: Path, marquez_url: str) -> None:
    """While Marquez' address is not known yet, emit returns and the event is on disk."""
    known = threading.Event()

    def resolve() -> MarquezEndpoint:
        known.wait(30)
        return MarquezEndpoint(marquez_url)

    emitter = LineageEmitter(tmp_path, resolve)
    sent = emit(emitter, 1)
    assert json.loads(emitter.spool_file.read_text())["run"]["runId"] == sent
    with pytest.raises(ServiceError):
        emitter.flush(0.05)
    known.set()
    emitter.flush(20)
    emitter.close()
    assert run_ids(marquez_url) == [sent]


def test_an_endpoint_that_fails_at_first_is_asked_again(tmp_path: Path, marquez_url: str) -> None:
    """A service error while resolving is no end: the next attempt may find the service."""
    asked: list[int] = []

    def resolve() -> MarquezEndpoint:
        asked.append(1)
        if len(asked) < 3:
            raise ServiceError("marquez is not ready")
        return MarquezEndpoint(marquez_url)

    emitter = LineageEmitter(tmp_path, resolve)
    sent = emit(emitter, 1)
    emitter.flush(20)
    emitter.close()
    assert run_ids(marquez_url) == [sent]


def test_the_spool_of_a_crashed_run_is_sent_first(tmp_path: Path, marquez_url: str) -> None:
    """Events nobody acknowledged before a crash arrive before those of the next process, torn last line left out."""
    dead = LineageEmitter(tmp_path, lambda: MarquezEndpoint(f"http://127.0.0.1:{free_port()}"))
    left = [emit(dead, number) for number in range(3)]
    dead.close()
    with dead.spool_file.open("a") as file:
        file.write('{"eventType": "STA')  # the process died here
    emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(marquez_url))
    new = emit(emitter, 9)
    emitter.flush(20)
    emitter.close()
    assert run_ids(marquez_url) == [*left, new]


def test_an_event_taken_before_the_crash_is_not_sent_again(tmp_path: Path, marquez_url: str) -> None:
    """Sent, but the acknowledgement was not written down: the next process asks Marquez first."""
    emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(marquez_url))
    sent = [emit(emitter, number) for number in range(2)]
    emitter.flush(20)
    emitter.close()
    lines = emitter.spool_file.read_bytes().splitlines(keepends=True)
    (tmp_path / "acknowledged").write_text(str(len(lines[0])))
    again = LineageEmitter(tmp_path, lambda: MarquezEndpoint(marquez_url))
    again.flush(20)
    again.close()
    assert run_ids(marquez_url) == sent


class Moody(BaseHTTPRequestHandler):
    """Takes every event, but hangs up on the first of each run before it answers, once."""

    taken: list[str]
    hung_up: set[str]
    answers: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status = self.answers.pop(0) if self.answers else 201
        if status == 201:
            self.taken.append(body)
            run = json.loads(body)["run"]["runId"]
            if run not in self.hung_up:
                self.hung_up.add(run)
                self.close_connection = True
                return
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        data = json.dumps({"events": [json.loads(each) for each in self.taken]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def moody(answers: list[int], *, hang_up: bool) -> Iterator[tuple[str, list[str]]]:
    taken: list[str] = []
    runs = set() if hang_up else {str(uuid.uuid5(uuid.NAMESPACE_URL, f"run {number}")) for number in range(10)}
    handler = type("Handler", (Moody,), {"taken": taken, "hung_up": runs, "answers": answers})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_hang_up_after_the_event_was_taken_makes_no_duplicate(tmp_path: Path) -> None:
    """No answer does not mean not taken: the emitter asks before it sends again."""
    with moody([], hang_up=True) as (url, taken):
        emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(url))
        sent = [emit(emitter, number) for number in range(3)]
        emitter.flush(20)
        emitter.close()
    assert [json.loads(each)["run"]["runId"] for each in taken] == sent


def test_server_errors_are_tried_again(tmp_path: Path) -> None:
    """503 and 500 are not the end of an event."""
    with moody([503, 500, 429], hang_up=False) as (url, taken):
        emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(url))
        sent = [emit(emitter, number) for number in range(2)]
        emitter.flush(20)
        emitter.close()
    assert [json.loads(each)["run"]["runId"] for each in taken] == sent


def test_a_refused_event_is_put_aside_and_told(tmp_path: Path) -> None:
    """422 holds up nothing behind it, and flush says that an event was refused and where it lies."""
    with moody([422], hang_up=False) as (url, taken):
        emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(url))
        sent = [emit(emitter, number) for number in range(2)]
        with pytest.raises(ServiceError, match=r"refused 1 lineage events.*422"):
            emitter.flush(20)
        emitter.close()
    assert [json.loads(each)["run"]["runId"] for each in taken] == sent[1:]
    assert sent[0] in (tmp_path / "rejected.jsonl").read_text()


def test_events_of_many_threads_are_all_kept_whole(tmp_path: Path, marquez_url: str) -> None:
    """Steps run side by side: no line is torn, none is lost."""
    emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(marquez_url))

    def some(base: int) -> None:
        for number in range(10):
            emit(emitter, base + number)

    threads = [threading.Thread(target=some, args=(base,)) for base in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    emitter.flush(30)
    emitter.close()
    assert len(set(run_ids(marquez_url))) == 40
    assert len(emitter.spool_file.read_text().splitlines()) == 40


def test_an_unknown_state_is_refused_before_it_is_spooled(tmp_path: Path, marquez_url: str) -> None:
    """A wrong state is the caller's mistake and leaves no line behind."""
    emitter = LineageEmitter(tmp_path, lambda: MarquezEndpoint(marquez_url))
    with pytest.raises(ValueError, match="BEGUN"):
        emit(emitter, 1, state="BEGUN")
    emitter.close()
    assert not emitter.spool_file.exists()


def test_the_spool_hands_out_each_line_once_across_processes(tmp_path: Path) -> None:
    """What was acknowledged is not handed out by a spool opened later on the same folder."""
    spool = Spool(tmp_path)
    for line in ("one", "two", "three"):
        spool.append(line)
    first = spool.next()
    assert first is not None
    spool.acknowledge(first)
    later = Spool(tmp_path)
    second = later.next()
    assert second is not None
    assert (first.line, second.line, later.left) == (b"one", b"two", 2)
