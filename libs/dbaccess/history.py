"""Writing one day of history: loaded in memory, checked, sorted into a new file, closed for ever."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import duckdb

from libs.core.errors import Refused
from libs.core.faults import crash_point
from libs.dbaccess.connections import duckdb_memory, naming_disk, quote
from libs.dbaccess.dayfile import DayFile, Prove, fill_day_file
from libs.dbaccess.errors import ImmutableDay
from libs.dbaccess.files import CLOSED_FILE, make_directory, sync_directory, sync_file
from libs.dbaccess.result import Result

if TYPE_CHECKING:  # half a second of every start, for two names
    import pandas as pd
    import polars as pl
    import pyarrow as pa

_ALLOWED = {duckdb.StatementType.SELECT, duckdb.StatementType.INSERT}
_CHANGING_WORDS = {"update", "delete", "alter", "merge", "truncate", "drop", "attach", "copy"}
_LOADER_NAME = "__rows"
_LOAD_ROWS = 500_000


class DayWriter:
    """The connection of a historical writer: rows go in and can be read; nothing is changed or removed."""

    subject = "history"

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        self._connection = connection
        self.table = table

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> Result:
        """Run INSERT or SELECT; anything that changes or removes rows is refused, for history only grows."""
        self._check(sql)
        return Result(self._connection.execute(sql, parameters))

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> Result:
        """Insert a few rows; `append` is a thousand times faster for many."""
        self._check(sql)
        return Result(self._connection.executemany(sql, rows))

    def append(self, rows: Any) -> int:
        """Insert a frame or an Arrow table by the names of its columns; naive times are IST."""
        self._connection.abort()  # a SELECT nobody read to its end would keep the connection
        self._connection.register(_LOADER_NAME, rows)
        try:
            (count,) = self._connection.execute(
                f"INSERT INTO {self.table} BY NAME SELECT * FROM {_LOADER_NAME}"
            ).fetchall()[0]
        finally:
            self._connection.unregister(_LOADER_NAME)
        return int(count)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Fetch what the last SELECT found."""
        return self._connection.fetchall()

    def fetchone(self) -> tuple[Any, ...] | None:
        """Fetch the next row of the last SELECT."""
        return self._connection.fetchone()

    def _check(self, sql: str) -> None:
        for statement in self._connection.extract_statements(sql):
            if statement.type not in _ALLOWED:
                raise Refused(f"{self.subject} only grows: {statement.type.name} is refused, INSERT and SELECT are not")
        # DuckDB calls a WITH that deletes a SELECT, so the words are looked at too.
        words = {sql[start:end].strip().lower() for start, end in _keywords(sql)}
        if found := words & _CHANGING_WORDS:
            raise Refused(f"{self.subject} only grows: {', '.join(sorted(found)).upper()} is refused")


class DayLoader(DayWriter):
    """A writer that gathers what `append` gets: DuckDB takes large batches on all threads, small ones on one."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, table: str) -> None:
        super().__init__(connection, table)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        #: What the closed file holds, once there is one.
        self.closed: DayFile | None = None

    def execute(self, sql: str, parameters: Sequence[Any] | None = None) -> Result:
        self.load()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> Result:
        self.load()
        return super().executemany(sql, rows)

    def append(self, rows: pa.Table | pd.DataFrame | pl.DataFrame) -> int:
        """Take an Arrow table or a frame by the names of its columns; naive times are IST. Gives its rows."""
        table = arrow_table(rows)
        if self._waiting and self._waiting[0].schema != table.schema:
            self.load()
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= _LOAD_ROWS:
            self.load()
        return int(table.num_rows)

    def load(self) -> None:
        """Put what was gathered into the table."""
        if self._waiting:
            import pyarrow as pa

            waiting, self._waiting, self._waiting_rows = pa.concat_tables(self._waiting), [], 0
            super().append(waiting)


def arrow_table(rows: pa.Table | pd.DataFrame | pl.DataFrame) -> pa.Table:
    """Give rows as an Arrow table, whatever library they came from."""
    import pyarrow as pa  # a tenth of a second, and most processes write no day

    if isinstance(rows, pa.Table):
        return rows
    if type(rows).__module__.startswith("polars"):
        return cast("pl.DataFrame", rows).to_arrow()
    return pa.Table.from_pandas(rows, preserve_index=False)


def _keywords(sql: str) -> Iterator[tuple[int, int]]:
    tokens = [*duckdb.tokenize(sql), (len(sql), None)]
    for (start, kind), (end, _) in pairwise(tokens):
        if kind == duckdb.token_type.keyword:
            yield start, end


@contextmanager
def write_day(
    path: Path,
    root: Path,
    ddl: str,
    data_type: str,
    timeframe: str | None,
    day: date,
) -> Iterator[DayLoader]:
    """Load a day, then close it: sorted by symbol and time, read back and checked, synced, renamed into place, 0444.

    The caller holds the history lock. If the block raises, or a row does not belong to the day, nothing is left.
    """
    with _given_its_name(path, root) as staged, duckdb_memory() as connection:
        connection.execute(f"SET temp_directory = {quote(staged.with_suffix('.spill'))}")
        connection.execute(ddl)
        writer = DayLoader(connection, data_type)
        yield writer
        writer.load()
        order = "symbol, timestamp, seq" if data_type == "ticks" else "symbol, timeframe, timestamp"
        source = f"SELECT * FROM memory.{writer.table} ORDER BY {order}"
        writer.closed = fill_day_file(connection, staged, ddl, data_type, timeframe, day, [source])


def close_day(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    root: Path,
    ddl: str,
    data_type: str,
    timeframe: str | None,
    day: date,
    parts: Iterable[str],
    *,
    prove: Prove | None = None,
) -> DayFile | None:
    """Close a day as `write_day` does, with what SELECTs of the caller's connection give; say what it holds.

    The rows come sorted, one SELECT's behind those of the one before: nothing sorts them again. `prove` is a proof of
    the caller's own that the file is good.
    """
    with _given_its_name(path, root) as staged:
        return fill_day_file(connection, staged, ddl, data_type, timeframe, day, parts, prove=prove)


@contextmanager
def _given_its_name(path: Path, root: Path) -> Iterator[Path]:
    """Give a temporary name, and what then has it the day's own when the block ends; if it raises, nothing is left."""
    refuse_closed(path)
    make_directory(path.parent, root)
    _remove_staged(path)  # left by a killed writer; the lock is ours now
    staged = path.with_name(f".{path.name}.{os.getpid()}.staged")
    try:
        with naming_disk(path):
            yield staged
        if not staged.exists():
            return  # nothing was written, so nothing is closed: an empty day would bar the real one for ever
        sync_file(staged)
        staged.chmod(CLOSED_FILE)
        crash_point("history.rename.before")
        refuse_closed(path)
        staged.rename(path)
        sync_directory(path.parent)
        crash_point("history.rename.after")
    finally:
        _remove_staged(path)


def _remove_staged(path: Path) -> None:
    for left in path.parent.glob(f".{path.name}.*.staged*"):
        left.unlink() if left.is_file() else shutil.rmtree(left)


def refuse_closed(path: Path) -> None:
    """Raise if the day exists: a day that has its name is closed, whoever asks (modes don't stop root)."""
    if path.exists() or path.is_symlink():
        raise ImmutableDay(f"{path}: this day is closed; history is never opened for writing again")
