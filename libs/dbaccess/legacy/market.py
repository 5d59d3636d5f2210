"""Old candles and ticks into closed days, by the importer, one timeframe and exchange after the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from libs.contracts.market import TIMEFRAMES
from libs.core.errors import Refused
from libs.dbaccess.importing import ImportReport, ImportRequest, import_files
from libs.dbaccess.importing.columns import guess, plain
from libs.dbaccess.layout import exchange_name
from libs.dbaccess.legacy.source import LegacyFile
from libs.dbaccess.legacy.values import Context
from libs.dbaccess.manager import DatabaseManager

_OHLCV = re.compile(r"(?:ohlcv|candles?|bars?|candlesticks?)_?(1m|5m|15m|1h|4h|1d)?")
_TICKS = {"ticks", "tick", "tick_data"}
_SPOKEN = {
    "1m": "1m 1min 1minute minute m1 60s 1", "5m": "5m 5min 5minute 5minutes m5 5", "15m": "15m 15min 15minute m15 15",
    "1h": "1h 1hour 60min 60minute hour h1 60", "4h": "4h 4hour 240min h4 240", "1d": "1d 1day day daily d d1 1440",
}  # fmt: skip
_TIMEFRAME_OF = {spelling: timeframe for timeframe, spoken in _SPOKEN.items() for spelling in spoken.split()}
#: The longest first: what the old installation stored as such is not made of minutes.
ORDER = tuple(sorted(TIMEFRAMES, key=lambda each: -TIMEFRAMES[each]))
Report = Callable[[int, int, str], None]


class Part(msgspec.Struct, frozen=True):
    """The rows of one old table that go into one series."""

    table: str
    data_type: str
    timeframe: str | None
    exchange: str
    equal: dict[str, Any]

    @property
    def target(self) -> str:
        """The series, as people write it."""
        return f"{self.exchange}/{self.data_type}" + (f"/{self.timeframe}" if self.timeframe else "")


def is_market_table(table: str) -> bool:
    """Whether a table's name says candles or ticks."""
    return table.lower() in _TICKS or bool(_OHLCV.fullmatch(table.lower()))


def parts_of(old: LegacyFile, table: str, context: Context) -> list[Part]:
    """Split a table by its own columns of timeframe and exchange; `Refused` when the timeframe cannot be known."""
    data_type = "ticks" if table.lower() in _TICKS else "candles"
    columns = old.columns(table)
    frame = next((each for each in columns if plain(each) in {"timeframe", "interval", "tf", "period"}), None)
    place = next((each for each in columns if plain(each) == "exchange"), None)
    named = _OHLCV.fullmatch(table.lower())
    in_name = named.group(1) if named else None
    if data_type == "candles" and not (frame or in_name):
        raise Refused(f"table {table} has no column of timeframes and none in its name")
    keys = [column for column in (frame if data_type == "candles" else None, place) if column]
    parts = []
    for found in old.distinct(table, keys) if keys else [()]:
        equal = dict(zip(keys, found, strict=True))
        spoken = equal.get(frame) if frame else None
        timeframe = in_name if spoken is None else _TIMEFRAME_OF.get(plain(str(spoken)))
        if data_type == "candles" and timeframe is None:
            raise Refused(f"table {table} holds candles of timeframe {spoken!r}; known are {', '.join(TIMEFRAMES)}")
        exchange = exchange_name(str(equal[place]).split("_")[0]) if place and equal.get(place) else context.exchange
        parts.append(Part(table, data_type, timeframe if data_type == "candles" else None, exchange, equal))
    return parts


def unknown_columns(old: LegacyFile, table: str, part: Part) -> tuple[str, ...]:
    """Name the columns that the series has no place for; `Refused` when one is lacking that it cannot do without."""
    columns = old.columns(table)
    taken = guess(columns, part.data_type, {}, Path(table)).values()
    return tuple(sorted({*columns} - {*taken} - {*part.equal}))


def place_part(
    db: DatabaseManager, old: LegacyFile, part: Part, context: Context, scratch: Path, report: Report
) -> ImportReport:
    """Close the days of one part; each is read back and compared with what was staged of it."""
    target = scratch / f"{part.table}-{part.exchange}-{part.timeframe or 'ticks'}.parquet"
    if not target.exists():
        old.to_parquet(part.table, target, equal=part.equal)
    request = ImportRequest(part.data_type, exchange=part.exchange, timeframe=part.timeframe, zone=context.zone)
    return import_files(db, [target], request, report=report, origin="migration")
