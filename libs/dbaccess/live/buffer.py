"""The writer's side of the live buffer: rows go into DuckDB, every flush publishes what is new as Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import msgspec

from libs.core.clock import Clock
from libs.core.errors import OutcomeUnknown, Refused
from libs.core.faults import crash_point
from libs.core.ids import random_id
from libs.dbaccess.connections import drop_cached_blocks, duckdb_writer
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import PRIVATE_FILE, make_directory
from libs.dbaccess.history import DayWriter
from libs.dbaccess.layout import Layout, exchange_name
from libs.dbaccess.live.manifest import Manifest, Segment, write_manifest
from libs.dbaccess.live.merging import Merger, next_merge
from libs.dbaccess.live.paths import TABLES, LivePaths
from libs.dbaccess.live.pins import sweep_pins
from libs.dbaccess.live.recovery import read_watermarks, recover
from libs.dbaccess.live.segments import count_rows, merged, put_in_place, write_segment
from libs.settings.storage import Live

_SWEEP_EVERY_FLUSHES = 60
_ROWS = "__rows"


class Flushed(NamedTuple):
    """What a flush did, for the log and the metrics."""

    generation: int
    rows: dict[str, int]
    segments: int
    took_ms: float
    merge_error: str


class LiveTable(DayWriter):
    """One table's connection: rows go in and can be read; nothing is changed, removed or committed by hand."""

    subject = "the live buffer"

    def append(self, rows: Any) -> int:
        """Insert a frame or an Arrow table by the names of its columns; naive times are IST.

        A row the table refuses spoils the open transaction: everything since the last flush has to be rolled back.
        """
        try:
            self._connection.register(_ROWS, rows)
            (count,) = self._connection.execute(f"INSERT INTO {self.table} BY NAME SELECT * FROM {_ROWS}").fetchall()[0]
        except (duckdb.IntegrityError, duckdb.DataError, duckdb.ProgrammingError, duckdb.TransactionException) as e:
            # Not unregistered: a spoilt transaction refuses even that, and the rollback that must follow does it.
            raise Refused(f"{self.table}: refused, and with it all since the last flush; roll back first: {e}") from e
        self._connection.unregister(_ROWS)
        return int(count)


class LiveBuffer:
    """Today's ticks and candles while they are captured. One thread at a time; the caller holds the writer lock.

    Rows are in an open transaction until `flush`. DuckDB has no transaction over two files, so each file carries its
    own watermarks, changed in the same transaction as its rows.
    """

    def __init__(
        self,
        paths: LivePaths,
        settings: Live,
        clock: Clock,
        connections: Mapping[str, duckdb.DuckDBPyConnection],
        manifest: Manifest,
        merger: Merger,
    ) -> None:
        self._paths = paths
        self._settings = settings
        self._clock = clock
        self._connections = connections
        self._tables = {table: LiveTable(connection, table) for table, connection in connections.items()}
        self._merger = merger
        self._nonce = random_id(8)
        self._merge_error = ""
        self._failed_commit = ""
        self.manifest = manifest
        self._begin()

    def __getitem__(self, table: str) -> LiveTable:
        return self._tables[table]

    def append(self, table: str, rows: Any) -> int:
        """Insert a frame or an Arrow table by the names of its columns; seen by readers after the next flush."""
        return self._tables[table].append(rows)

    def watermarks(self, table: str) -> dict[str, int]:
        """Up to which seq of each stream the table's file holds everything: where replay of a journal starts."""
        return dict(self.manifest.watermarks[table])

    def flush(self, *, watermarks: Mapping[str, int] | None = None) -> Flushed:
        """Commit what was appended with these watermarks, then publish one more generation, also when nothing is new.

        What was committed and could not be published (a full disk) is published by the next flush that can.
        """
        started_ns = self._clock.monotonic_ns()
        self._commit(watermarks or {})
        try:
            rows = self._publish()
        finally:
            self._begin()
        return Flushed(
            generation=self.manifest.generation,
            rows=rows,
            segments=len(self.manifest.files()),
            took_ms=(self._clock.monotonic_ns() - started_ns) / 1e6,
            merge_error=self._merge_error,
        )

    def rollback(self) -> None:
        """Drop what was appended since the last flush."""
        self._refuse_unknown()
        for connection in self._connections.values():
            connection.execute("ROLLBACK")
        self._begin()

    def finish_merges(self) -> None:
        """Merge and publish until there is nothing left to merge; for the end of the day and for tests."""
        while self._merger.busy or next_merge(self.manifest.segments, self._settings):
            self._merger.wait()
            flushed = self.flush()
            if flushed.merge_error:
                raise StoreCorrupt(f"{self._paths.segments}: segments cannot be merged: {flushed.merge_error}")

    def _begin(self) -> None:
        for connection in self._connections.values():
            connection.execute("BEGIN TRANSACTION")

    def _commit(self, watermarks: Mapping[str, int]) -> None:
        self._refuse_unknown()
        for table, connection in self._connections.items():
            self._mark(connection, table, watermarks)
        for connection in self._connections.values():
            crash_point("live.commit.before")
            try:
                connection.execute("COMMIT")
            except duckdb.Error as e:
                self._failed_commit = str(e)
                self._refuse_unknown()
            crash_point("live.commit.after")

    def _refuse_unknown(self) -> None:
        # Without its transaction, a file would take the next watermark at once, past the rows it lost.
        if self._failed_commit:
            raise OutcomeUnknown(
                f"{self._paths.root}: a commit failed: {self._failed_commit}; open the buffer again, its watermarks "
                "say what was kept"
            )

    def _mark(self, connection: duckdb.DuckDBPyConnection, table: str, watermarks: Mapping[str, int]) -> None:
        try:
            # DuckDB answers COMMIT of a spoilt transaction with success, having rolled it back. This one it refuses.
            connection.execute("SELECT 1")
        except duckdb.TransactionException as e:
            raise Refused(f"{table}: a statement since the last flush failed; roll back and append again") from e
        for stream, seq in watermarks.items():
            if seq < self.manifest.watermarks[table].get(stream, 0):
                raise Refused(
                    f"{table}: watermark of stream {stream!r} may not go back "
                    f"from {self.manifest.watermarks[table][stream]} to {seq}"
                )
            connection.execute(
                "INSERT INTO meta (stream, seq) VALUES (?, ?) ON CONFLICT (stream) DO UPDATE SET seq = excluded.seq",
                [stream, seq],
            )

    def _publish(self) -> dict[str, int]:
        generation = self.manifest.generation + 1
        segments = {table: list(listed) for table, listed in self.manifest.segments.items()}
        replaced = self._settle_merge(segments, generation)
        rows = {}
        for table in TABLES:
            new = self._write_new(table, segments[table][-1].rowid_max + 1 if segments[table] else 0, generation)
            segments[table] += [new] if new else []
            rows[table] = new.rows if new else 0
        manifest = msgspec.structs.replace(
            self.manifest,
            generation=generation,
            published_at_us=self._clock.now_us(),
            watermarks={table: read_watermarks(connection) for table, connection in self._connections.items()},
            segments={table: tuple(listed) for table, listed in segments.items()},
        )
        crash_point("live.manifest.before")
        write_manifest(self._paths.manifest, manifest)
        crash_point("live.manifest.after")
        self.manifest = manifest
        for part in replaced:  # no manifest lists them any more; readers that pinned them have links of their own
            self._paths.segment(part.file).unlink(missing_ok=True)
        if generation % _SWEEP_EVERY_FLUSHES == 0:
            sweep_pins(self._paths)
            for connection in self._connections.values():
                drop_cached_blocks(connection)
        self._start_merge()
        return rows

    def _write_new(self, table: str, rowid_next: int, generation: int) -> Segment | None:
        connection = self._connections[table]
        found = count_rows(connection, table, rowid_next)
        if found is None:
            return None
        if found.rowid_min != rowid_next or found.rows != found.rowid_max - found.rowid_min + 1:
            raise StoreCorrupt(
                f"{self._paths.file(table)}: {found.rows} rows at {found.rowid_min}..{found.rowid_max} where all from "
                f"{rowid_next} on were expected; rows of the live buffer are never removed"
            )
        return write_segment(connection, table, found, self._segment_path(table, generation, 0), level=0)

    def _settle_merge(self, segments: dict[str, list[Segment]], generation: int) -> tuple[Segment, ...]:
        """Put a finished merge in the place of its parts; give the parts."""
        try:
            merge = self._merger.take()
        except (duckdb.Error, StoreCorrupt, OSError) as e:  # capture goes on with the parts; the report says so
            self._merge_error = str(e)
            return ()
        if merge is None:
            return ()
        path = self._segment_path(merge.table, generation, merge.level)
        whole = put_in_place(self._merger.target, path, merged(merge.parts, merge.level))
        crash_point("live.merge.after")
        listed = segments[merge.table]
        first = listed.index(merge.parts[0])
        listed[first : first + len(merge.parts)] = [whole]
        self._merge_error = ""
        return merge.parts

    def _start_merge(self) -> None:
        if not self._merger.busy and (merge := next_merge(self.manifest.segments, self._settings)):
            self._merger.start(merge)

    def _segment_path(self, table: str, generation: int, level: int) -> Path:
        return self._paths.segment(f"{table}-{generation:010d}-{level}-{self._nonce}.parquet")


@contextmanager
def open_live_buffer(
    layout: Layout, settings: Live, clock: Clock, *, exchange: str, ddl: Mapping[str, Sequence[str]]
) -> Iterator[LiveBuffer]:
    """Open today's files for writing, repair their snapshot, and give the buffer; the caller holds the writer lock.

    Leaving the block flushes; leaving it by an exception rolls back what was not flushed.
    """
    paths = LivePaths(layout)
    for directory in (paths.segments, paths.pins):
        make_directory(directory, layout.root)
    with ExitStack() as stack:
        connections = {table: stack.enter_context(_open_table(paths, table, ddl[table])) for table in TABLES}
        manifest = recover(paths, connections, settings, clock, exchange_name(exchange))
        merger = Merger(paths, settings)
        stack.callback(merger.close)
        buffer = LiveBuffer(paths, settings, clock, connections, manifest, merger)
        yield buffer  # if the block raises, closing the files rolls back
        buffer.flush()


@contextmanager
def _open_table(paths: LivePaths, table: str, ddl: Sequence[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb_writer(paths.file(table)) as connection:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall():
            connection.execute("BEGIN")
            for statement in ddl:
                connection.execute(statement)
            connection.execute("COMMIT")
        paths.file(table).chmod(PRIVATE_FILE)
        yield connection
