"""The stored rows of one exchange's ticks, or candles of one timeframe, as one SELECT for the SQL door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from libs.dbaccess.queries.bounds import EARLIEST_US, LATEST_US
from libs.dbaccess.queries.catalogue import Catalogue, StoredFile
from libs.dbaccess.queries.live import LivePart
from libs.dbaccess.queries.plan import Place, Source, stored_sources
from libs.dbaccess.queries.request import SELDOM_STORED, Request
from libs.dbaccess.queries.selects import candle_columns, instant, rows_of, tick_columns

_TYPES = {
    "candles": "exchange VARCHAR, symbol VARCHAR, timeframe VARCHAR, timestamp TIMESTAMPTZ, open DOUBLE, high DOUBLE, "
    "low DOUBLE, close DOUBLE, volume BIGINT",
    "ticks": "exchange VARCHAR, symbol VARCHAR, timestamp TIMESTAMPTZ, price DOUBLE, volume BIGINT, bid DOUBLE, "
    "ask DOUBLE, volume_day BIGINT, seq BIGINT",
}


@dataclass(frozen=True)
class Series:
    """Where each date of a series is read from."""

    exchange: str
    table: str
    timeframe: str | None
    days: dict[date, Source]

    @property
    def day_files(self) -> list[StoredFile]:
        """The DuckDB files to attach."""
        return [file for source in self.days.values() if source.place is Place.HOT for file in source.files]

    @property
    def parquet_files(self) -> list[Path]:
        """Archived parts and segments of the snapshot."""
        archived = [file.path for s in self.days.values() if s.place is Place.ARCHIVE for file in s.files]
        return [*archived, *(path for source in self.days.values() for path in source.segments)]


def stored_series(
    catalogue: Catalogue,
    live: LivePart | None,
    exchange: str,
    table: str,
    timeframe: str | None,
    interval: tuple[int, int],
) -> Series:
    """Find what is stored of a series; nothing is made of minutes here."""
    request = Request(exchange, table, timeframe, (), *interval)
    if request.is_empty:
        return Series(exchange, table, timeframe, {})
    captured = None if timeframe in SELDOM_STORED else live
    return Series(exchange, table, timeframe, stored_sources(request, timeframe, catalogue, captured))


def series_select(
    series: Series, aliases: Mapping[Path, str], interval: tuple[int, int], symbols: Sequence[str]
) -> str:
    """Spell the SELECT of a series. Names are constants, so that the planner drops what a condition rules out."""
    columns = tick_columns() if series.table == "ticks" else candle_columns(str(series.timeframe))
    conditions = []
    if interval[0] > EARLIEST_US:
        conditions.append(f"timestamp >= {instant(interval[0])}")
    if interval[1] < LATEST_US:
        conditions.append(f"timestamp < {instant(interval[1])}")
    if symbols:
        conditions.append(f"symbol IN ({', '.join(repr(symbol) for symbol in symbols)})")  # checked: no quote in one
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    columns = f"'{series.exchange}' AS exchange, {columns}"
    return " UNION ALL ".join(
        f"SELECT {columns} FROM {rows_of(series.table, day, source, aliases)}{where}"
        for day, source in sorted(series.days.items())
    )


def empty_view(table: str) -> str:
    """Spell a SELECT of no rows with the view's columns and types."""
    columns = (column.split() for column in _TYPES[table].split(", "))
    return f"SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in columns)} WHERE false"
