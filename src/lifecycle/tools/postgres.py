"""PostgreSQL, the source of the data loop: Arrow in by COPY, Arrow out in chunks, never a Python object per value of a large table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lifecycle.domain.endpoints import PostgresEndpoint
from lifecycle.domain.errors import ServiceError

if TYPE_CHECKING:
    import pyarrow as pa

    from lifecycle.domain.use_case import UseCase

SQL_TYPES = {
    "integer": "bigint",
    "number": "double precision",
    "string": "text",
    "boolean": "boolean",
    "timestamp": "timestamptz",
}


class Postgres:
    """The source database. Every method opens its own connection, so any thread may call it; each raises ServiceError when the server refuses."""

    def __init__(self, endpoint: PostgresEndpoint) -> None:
        self._endpoint = endpoint

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A psycopg connection; committed at the end, rolled back on an error."""
        import psycopg

        try:
            with psycopg.connect(self._endpoint.dsn(), connect_timeout=10) as connection:
                yield connection
        except psycopg.Error as error:
            where = f"{self._endpoint.host}:{self._endpoint.port}/{self._endpoint.database}"
            raise ServiceError(
                f"PostgreSQL at {where}: {str(error).strip()}", fix="look at the server's log in the run folder"
            ) from error

    def create_table(self, use_case: UseCase) -> None:
        """The use case's table as its columns declare it, new and empty; key and event time together identify a row."""
        from psycopg import sql

        data = use_case.data
        columns = [
            sql.SQL("{} {} {}").format(
                sql.Identifier(column.name),
                sql.SQL(SQL_TYPES[column.type]),
                sql.SQL("" if column.name not in {data.key, data.event_time} else "NOT NULL"),
            )
            for column in data.columns
        ]
        # the source is what somebody else's application wrote: beyond key and time it promises nothing, validation is our business
        statement = sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}, {}))").format(
            sql.Identifier(data.table),
            sql.SQL(", ").join(columns),
            sql.Identifier(data.key),
            sql.Identifier(data.event_time),
        )
        with self.connection() as connection:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(data.table)))
            connection.execute(statement)

    def load(self, use_case: UseCase, rows: pa.Table) -> None:
        """Append the rows by COPY; all of them or none."""
        import io

        import pyarrow.csv as csv
        from psycopg import sql

        buffer = io.BytesIO()
        csv.write_csv(rows, buffer, csv.WriteOptions(include_header=False))
        names = sql.SQL(", ").join(sql.Identifier(name) for name in rows.column_names)
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(use_case.data.table), names)
        with self.connection() as connection:
            with connection.cursor().copy(statement) as copy:
                copy.write(buffer.getbuffer())
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(use_case.data.table)))

    def extract(
        self,
        table: str,
        columns: Sequence[str],
        order_by: Sequence[str],
        after_watermark: str | None = None,
        watermark_column: str | None = None,
        chunk_rows: int = 50_000,
    ) -> Iterator[pa.RecordBatch]:
        """The rows in order, as Arrow batches of at most `chunk_rows`; memory is that of a few chunks.

        With `after_watermark` (ISO 8601) only rows whose `watermark_column` is later.
        """
        import adbc_driver_postgresql.dbapi as adbc
        from adbc_driver_manager import Error
        from psycopg import sql

        query = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(sql.Identifier(name) for name in columns), sql.Identifier(table)
        )
        if after_watermark is not None:
            assert watermark_column is not None
            query += sql.SQL(" WHERE {} > {}::timestamptz").format(
                sql.Identifier(watermark_column), sql.Literal(after_watermark)
            )
        query += sql.SQL(" ORDER BY {}").format(sql.SQL(", ").join(sql.Identifier(name) for name in order_by))
        try:
            with adbc.connect(self._endpoint.dsn()) as connection, connection.cursor() as cursor:
                cursor.execute(query.as_string(None))
                for batch in cursor.fetch_record_batch():
                    for start in range(0, batch.num_rows, chunk_rows):
                        yield batch.slice(start, chunk_rows)
        except Error as error:
            raise ServiceError(
                f"PostgreSQL could not read {table}: {error}", fix="look at the server's log in the run folder"
            ) from error

    def rows(self, table: str, columns: Sequence[str]) -> list[dict[str, Any]]:
        """All rows of a small table as dictionaries, in the order of the first column: what traffic is made from."""
        batches = self.extract(table, columns, columns[:1])
        return [row for batch in batches for row in batch.to_pylist()]

    def count(self, table: str) -> int:
        from psycopg import sql

        with self.connection() as connection:
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
        return int(row[0])

    def columns(self, table: str) -> tuple[tuple[str, str], ...]:
        """(name, SQL type) of each column, in order."""
        query = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position"
        with self.connection() as connection:
            return tuple((name, kind) for name, kind in connection.execute(query, (table,)).fetchall())
