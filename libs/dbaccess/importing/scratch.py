"""What the scratch database of an import holds: the rows of one date, and of which symbols they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import NamedTuple, Protocol

import duckdb
import pyarrow as pa

from libs.dbaccess.buffers import numbers
from libs.dbaccess.importing.candles import Candles
from libs.dbaccess.importing.rows import VALUES

#: What the scratch database is attached as.
SCRATCH = "scratch"
_EPOCH = date(1970, 1, 1).toordinal()
#: Stretches of time, half open; without any, a whole day is meant.
Spans = Sequence[tuple[int, int]]


class TickRows(NamedTuple):
    """A date's ticks, as they came: what to select them from, how many there are, and how many have each value.

    Besides values it has `symbol` as a number (of the type `listed`), `ts_us`, and `line`, their place.
    """

    source: str
    rows: int
    filled: dict[str, int]


class Staged(Protocol):
    """The good rows of all files of an import, by date."""

    symbols: Sequence[str]
    """All symbols, in their order."""

    def days(self) -> list[tuple[date, int]]:
        """Give the dates in their order, and how many rows each has."""

    def candles(
        self, connection: duckdb.DuckDBPyConnection, day: date, rows: int, spans: Spans, *, rows_max: int
    ) -> Iterator[Candles]:
        """Give a date's candles, as they came; in parts of whole symbols when it has more than so many rows."""

    def ticks(self, connection: duckdb.DuckDBPyConnection, day: date) -> TickRows:
        """Give a date's ticks, to be had on this connection until those of another date are."""


class Scratch:
    """Rows in the tables of the scratch database."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.symbols: Sequence[str] = list_symbols(connection)

    def days(self) -> list[tuple[date, int]]:
        """Give the dates in their order, and how many rows each has."""
        found = self._connection.execute(
            f"SELECT day, sum(rows)::BIGINT FROM {SCRATCH}.counted c JOIN spellings s ON c.symbol = s.spelling"
            " GROUP BY day ORDER BY day"
        ).fetchall()
        return [(day_of_number(number), rows) for number, rows in found]

    def candles(
        self, connection: duckdb.DuckDBPyConnection, day: date, rows: int, spans: Spans, *, rows_max: int
    ) -> Iterator[Candles]:
        """Give a date's candles, as they came; in parts of whole symbols when it has more than so many rows."""
        inside = " OR ".join(f"ts_us >= {start} AND ts_us < {end}" for start, end in spans) or "true"
        for part in _parts(connection, day, rows_max) if rows > rows_max else ("true",):
            found: pa.Table = connection.execute(
                "SELECT enum_code(s.symbol)::INTEGER AS symbol, ts_us, open, high, low, close,"
                f" coalesce(volume, 0) AS volume {wanted(day)} AND ({inside}) AND {part}"
            ).to_arrow_table()
            yield Candles(*(numbers(found[name]) for name in Candles._fields))

    def ticks(self, connection: duckdb.DuckDBPyConnection, day: date) -> TickRows:
        """Give a date's ticks."""
        columns = VALUES["ticks"]
        counts = ", ".join(f"count({column})" for column in columns)
        [(rows, *filled)] = connection.execute(
            f"SELECT count(*), {counts} FROM {SCRATCH}.rows WHERE {good(day)}"
        ).fetchall()
        source = f"(SELECT r.* REPLACE (s.symbol AS symbol), r.rowid AS line {wanted(day)})"
        return TickRows(source, rows, dict(zip(columns, filled, strict=True)))


def list_symbols(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Make the type of symbols, whose order is theirs, and the table that says which spelling means which; list them.

    A number sorts and groups in half the time of a text.
    """
    clean = f"FROM {SCRATCH}.names WHERE clean IS NOT NULL"
    connection.execute(f"CREATE TYPE listed AS ENUM (SELECT DISTINCT clean {clean} ORDER BY clean)")
    connection.execute(f"CREATE TABLE spellings AS SELECT symbol AS spelling, clean::listed AS symbol {clean}")
    return [row[0] for row in connection.execute("SELECT unnest(enum_range(NULL::listed))").fetchall()]


def wanted(day: date) -> str:
    """Spell where a date's good rows come from: `r`, as staged, and `s`, whose symbols are numbers."""
    return f"FROM {SCRATCH}.rows r JOIN spellings s ON r.symbol = s.spelling WHERE {good(day)}"


def good(day: date) -> str:
    """Spell which rows are a date's good ones."""
    return f"day = {day_number(day)} AND refused IS NULL"


def day_number(day: date) -> int:
    """Count a date's days since the epoch."""
    return day.toordinal() - _EPOCH


def day_of_number(number: int) -> date:
    """Give the date of so many days since the epoch."""
    return date.fromordinal(_EPOCH + number)


def shares(counts: Iterable[tuple[int, int]], rows_max: int) -> Iterator[tuple[int, int]]:
    """Share symbols out by their rows, from one to another, both included; one of too many is a share by itself.

    `counts` are their places, in order, and rows.
    """
    first = last = rows = 0
    for place, count in counts:
        if rows and rows + count > rows_max:
            yield first, last
            first, rows = place, 0
        last, rows = place, rows + count
    yield first, last


def _parts(connection: duckdb.DuckDBPyConnection, day: date, rows_max: int) -> Iterator[str]:
    """Spell conditions that share a date's symbols out."""
    counts = connection.execute(
        f"SELECT enum_code(s.symbol), sum(rows)::BIGINT FROM {SCRATCH}.counted c JOIN spellings s"
        f" ON c.symbol = s.spelling WHERE day = {day_number(day)} GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for first, last in shares(counts, rows_max):
        yield f"enum_code(s.symbol) BETWEEN {first} AND {last}"
