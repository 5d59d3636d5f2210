"""Reading the live buffer: connections over one pinned snapshot, which can read those files and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from libs.core.errors import Refused
from libs.dbaccess.connections import SESSION_ZONE, duckdb_memory
from libs.dbaccess.layout import Layout
from libs.dbaccess.live.paths import TABLES
from libs.dbaccess.live.pins import Snapshot, pin_snapshot
from libs.dbaccess.live.segments import quoted_list
from libs.dbaccess.result import Result
from libs.settings.storage import Live


class SnapshotReader:
    """A connection with the views `ticks` and `candles` that runs SELECT and nothing else.

    DuckDB lets COPY overwrite a file it is allowed to read, so its own walls would not do: the statement is looked at.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
        self._connection = connection
        self.snapshot = snapshot

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None) -> Result:
        """Run one or more SELECTs; the result is fetched as from DuckDB: `.fetchall()`, `.df()`, `.pl()`."""
        self._check(sql)
        return Result(self._connection.execute(sql, parameters))

    def sql(self, sql: str) -> duckdb.DuckDBPyRelation:
        """Give a SELECT as a relation."""
        self._check(sql)
        return self._connection.sql(sql)

    def _check(self, sql: str) -> None:
        for statement in self._connection.extract_statements(sql):
            if statement.type is not duckdb.StatementType.SELECT:
                raise Refused(f"a snapshot is only read: {statement.type.name} is refused, SELECT is not")


@contextmanager
def live_buffer_reader(layout: Layout, settings: Live) -> Iterator[Mapping[str, SnapshotReader]]:
    """Give `conns["ticks"]` and `conns["candles"]` over the newest snapshot; each sees both views.

    What they see does not change while the block lasts; open another for newer rows.
    """
    with pin_snapshot(layout, settings) as snapshot, duckdb_memory() as connection:
        connection.execute(f"SET GLOBAL TimeZone = '{SESSION_ZONE}'")  # for the second connection as well
        for table in TABLES:
            connection.execute(f"CREATE VIEW {table} AS {snapshot.select(table)}")
        files = [path for table in TABLES for path in snapshot.files(table)]
        connection.execute(f"SET allowed_paths = {quoted_list(files)}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        with connection.cursor() as other:
            yield {"candles": SnapshotReader(connection, snapshot), "ticks": SnapshotReader(other, snapshot)}
