"""The local tier's PostgreSQL is a real server of the run's own, and the client moves rows in and out of it unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pyarrow as pa
import pytest

from lifecycle.domain.endpoints import PostgresEndpoint, Secret
from lifecycle.domain.errors import ServiceError
from lifecycle.process import Children
from lifecycle.runner.given import source_rows
from lifecycle.scenario import Story, load
from lifecycle.tiers.local import postgres
from lifecycle.tools.postgres import Postgres

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def story() -> Story:
    return load(ROOT / "scenarios" / "data_quality_stops_the_run.yaml")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresEndpoint]:
    folder = tmp_path_factory.mktemp("run")
    with Children() as children:
        yield postgres.start(children, folder, tmp_path_factory.mktemp("cache"))[1]


def test_it_listens_on_loopback_only(endpoint: PostgresEndpoint) -> None:
    """No address but 127.0.0.1, as the system's own table of sockets has it."""
    addresses = {
        c.laddr.ip
        for c in psutil.net_connections("tcp")
        if c.laddr and c.laddr.port == endpoint.port and c.status == "LISTEN"
    }
    assert addresses == {"127.0.0.1"}


@pytest.mark.parametrize(("user", "password"), [("lifecycle", "wrong"), ("postgres", "template")])
def test_nobody_else_gets_in(endpoint: PostgresEndpoint, user: str, password: str) -> None:
    """Neither a wrong password nor the template's own account is let in."""
    stranger = PostgresEndpoint(endpoint.host, endpoint.port, user, Secret(password), endpoint.database)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(stranger.dsn())


def test_the_source_table_holds_the_storys_rows(endpoint: PostgresEndpoint, story: Story) -> None:
    """All customers are there, with exactly the damaged rows that the story gives; read back with plain SQL."""
    client = Postgres(endpoint)
    client.create_table(story.use_case)
    client.load(story.use_case, source_rows(story))
    with psycopg.connect(endpoint.dsn()) as connection:
        counted = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE monthly_charges = -20), count(*) FILTER (WHERE total_charges IS NULL) FROM customers"
        )
        assert counted.fetchone() == (7043, 40, 11)


def test_rows_come_out_in_chunks_and_unchanged(endpoint: PostgresEndpoint, story: Story) -> None:
    """What is extracted equals what was loaded, value for value, in chunks no larger than asked for."""
    client = Postgres(endpoint)
    rows = source_rows(story)
    client.create_table(story.use_case)
    client.load(story.use_case, rows)
    batches = list(client.extract("customers", rows.column_names, ["customer_id"], chunk_rows=1000))
    assert max(batch.num_rows for batch in batches) <= 1000
    assert pa.Table.from_batches(batches).sort_by("customer_id").to_pylist() == rows.sort_by("customer_id").to_pylist()


def test_a_watermark_leaves_out_what_was_read(endpoint: PostgresEndpoint, story: Story) -> None:
    """Only rows later than the watermark come, counted by SQL as the side door."""
    client = Postgres(endpoint)
    client.create_table(story.use_case)
    client.load(story.use_case, source_rows(story))
    with psycopg.connect(endpoint.dsn()) as connection:
        query = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY event_timestamp) FROM customers"
        (middle,) = connection.execute(query).fetchone() or (None,)
        (later,) = connection.execute(
            "SELECT count(*) FROM customers WHERE event_timestamp > %s", (middle,)
        ).fetchone() or (0,)
    batches = client.extract("customers", ["customer_id"], ["customer_id"], str(middle), "event_timestamp")
    assert sum(batch.num_rows for batch in batches) == later > 0


def test_a_refused_load_leaves_nothing_half_done(endpoint: PostgresEndpoint, story: Story) -> None:
    """A second load of the same keys is an error that names the server, and adds no row."""
    client = Postgres(endpoint)
    client.create_table(story.use_case)
    client.load(story.use_case, source_rows(story))
    with pytest.raises(ServiceError, match="duplicate key"):
        client.load(story.use_case, source_rows(story))
    assert client.count("customers") == 7043


def test_a_server_that_is_not_there_is_named(endpoint: PostgresEndpoint) -> None:
    """The error says which address did not answer, and shows no password."""
    gone = PostgresEndpoint("127.0.0.1", 1, "lifecycle", Secret("hunter2"), "lifecycle")
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:1/lifecycle") as caught:
        Postgres(gone).count("customers")
    assert "hunter2" not in str(caught.value)
