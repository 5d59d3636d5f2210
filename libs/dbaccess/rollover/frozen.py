"""The live buffer's two files while nobody writes them: which days they hold, and their rows."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb

from libs.core.clock import US_PER_DAY, day_start_us, trading_date
from libs.core.errors import RetryLater
from libs.dbaccess.connections import attach_day, duckdb_memory, quote
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.figures import Figures, figures_select
from libs.dbaccess.live.paths import TABLES, LivePaths

#: Where the trading dates are counted from.
_EPOCH_DAY_US = day_start_us(date(1970, 1, 1))


class Series(NamedTuple):
    """The rows of one day that go into one file of history."""

    day: date
    data_type: str
    timeframe: str | None
    rows: int

    def __str__(self) -> str:
        return " ".join(filter(None, (self.day.isoformat(), self.data_type, self.timeframe)))


class FrozenBuffer:
    """Both files attached read-only to one in-memory connection, as `live_ticks` and `live_candles`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        #: Of each series that was listed, what it comes to by symbol.
        self.figures: dict[Series, dict[str, Figures]] = {}
        self.columns = {
            table: tuple(name for name, *_ in connection.execute(f"DESCRIBE live_{table}.{table}").fetchall())
            for table in TABLES
        }

    def series(self, last: date) -> list[Series]:
        """List what there is of the days up to and including `last`, oldest day first, and count it: one reading."""
        self.figures = {}
        for table, timeframe in (("ticks", "NULL"), ("candles", "timeframe")):
            # The date by arithmetic: asking the time zone for that of every row takes longer than all the rest.
            rows = self.connection.execute(
                f"""SELECT (epoch_us(timestamp) - {_EPOCH_DAY_US}) // {US_PER_DAY} AS day, {timeframe} AS timeframe,
                           symbol, {figures_select(table, self.columns[table])}
                    FROM live_{table}.{table} WHERE timestamp < {_instant(_end_us(last))} GROUP BY ALL"""
            ).fetchall()
            found: dict[tuple[int, str | None], dict[str, Figures]] = {}
            for number, length, symbol, *figures in rows:
                found.setdefault((number, length), {})[symbol] = Figures(*figures)
            for (number, length), by_symbol in found.items():
                count = sum(each.rows for each in by_symbol.values())
                day = trading_date(_EPOCH_DAY_US + number * US_PER_DAY)
                self.figures[Series(day, table, length, count)] = by_symbol
        return sorted(self.figures, key=lambda each: (each.day, each.data_type, each.timeframe or ""))

    def select(self, series: Series) -> str:
        """Spell the SELECT of a series' rows."""
        start, end = _instant(day_start_us(series.day)), _instant(_end_us(series.day))
        where = f"timestamp >= {start} AND timestamp < {end}"
        if series.timeframe:
            where += f" AND timeframe = {quote(series.timeframe)}"
        return f"SELECT {', '.join(self.columns[series.data_type])} FROM {self._table(series.data_type)} WHERE {where}"

    def select_sorted(self, series: Series) -> str:
        """Spell the SELECT of a series' rows in the order of its file."""
        order = "symbol, timestamp" if series.timeframe else "symbol, timestamp, seq"
        return f"SELECT * FROM ({self.select(series)}) ORDER BY {order}"

    def traded(self, day: date) -> Collection[str] | None:
        """Name the symbols that have ticks on a day; None when it has none."""
        return next((self.figures[each].keys() for each in self.figures if each[:2] == (day, "ticks")), None)

    def select_after(self, table: str, last: date) -> str:
        """Spell the SELECT of the rows of days after `last`: what stays in the live buffer."""
        where = f"timestamp >= {_instant(_end_us(last))}"
        return f"SELECT {', '.join(self.columns[table])} FROM {self._table(table)} WHERE {where}"

    def prove_unique(self, series: Series) -> None:
        """Raise StoreCorrupt if a tick is there twice: ticks have no key, their seq is what tells them apart."""
        if series.data_type != "ticks":
            return  # the live table has a key, and closing a day proves it again
        falls = self.connection.execute(
            f"SELECT 1 FROM (SELECT seq <= lag(seq) OVER () AS falls FROM ({self.select(series)})) WHERE falls LIMIT 1"
        ).fetchall()
        if not falls:
            return  # as the journal numbers them; only rows in another order have to be sorted out
        (distinct,) = self.connection.execute(f"SELECT count(DISTINCT seq) FROM ({self.select(series)})").fetchall()[0]
        if distinct != series.rows:
            raise StoreCorrupt(
                f"{series}: {series.rows} rows with {distinct} seqs in the live buffer; a tick is stored twice, "
                "nothing was rolled over"
            )

    @staticmethod
    def _table(table: str) -> str:
        return f"live_{table}.{table}"


@contextmanager
def frozen_buffer(paths: LivePaths) -> Iterator[FrozenBuffer]:
    """Read the buffer's files; the caller holds the live lock and has closed them, so nothing is in a WAL."""
    for table in TABLES:
        wal = Path(f"{paths.file(table)}.wal")
        if wal.exists():  # replacing the file would leave the WAL to a stranger
            raise RetryLater(f"{wal}: the live buffer was closed and is not checkpointed; run the rollover again")
    spill = paths.root / ".rollover.spill"
    try:
        with duckdb_memory() as connection:
            connection.execute(f"SET temp_directory = {quote(str(spill))}")
            for table in TABLES:
                attach_day(connection, paths.file(table), f"live_{table}")
            yield FrozenBuffer(connection)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _end_us(day: date) -> int:
    return day_start_us(day) + US_PER_DAY


def _instant(moment_us: int) -> str:
    """Spell an instant as a constant, which lets whole blocks of other days be passed over."""
    return f"make_timestamptz({moment_us})"
