"""A day's file: written in the order of its rows, read back block by block, and refused when a row is none of its."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb

from libs.core.clock import US_PER_DAY, day_start_us
from libs.core.errors import Refused
from libs.dbaccess.connections import attach_day, quote
from libs.dbaccess.errors import RepeatedCandle, StoreCorrupt
from libs.dbaccess.figures import Figures, figures_of
from libs.dbaccess.files import checksum

#: A symbol's rows of a day lie in one row group or two, and what is not in a group is not read: a quarter of DuckDB's
#: own size makes a symbol's day a fifth faster and costs neither space nor time to write.
_ROW_GROUP_SIZE = 32_768
#: A file is read by blocks, and one symbol's candles need little of each: a quarter of DuckDB's own size (262,144)
#: makes them a fifth to a third faster to read and a day of few symbols a quarter as large. Ticks gain nothing by it.
_BLOCK_SIZES = {"candles": 65_536}
#: What `prove` is given: the finished file's table. It reads every block, raises unless the file holds what it must,
#: and gives the figures of each symbol.
Prove = Callable[[str], dict[str, Figures]]


class DayFile(NamedTuple):
    """What a finished file holds, symbol by symbol, and the hash of its bytes."""

    figures: dict[str, Figures]
    checksum: str


def fill_day_file(
    connection: duckdb.DuckDBPyConnection, staged: Path, ddl: str, table: str, timeframe: str | None, day: date,
    parts: Iterable[str], *, prove: Prove | None = None,
) -> DayFile | None:  # fmt: skip
    """Write a day's file in the order of its SELECTs and read every block of it back; without rows there is no file.

    Each is run before the next is asked for, so a day need not be all in memory. Without a proof of the caller's own,
    the file is looked through for candles that are not in order, or twice there.
    """
    # Days that are written at the same time share an engine, and in it a name may be had once.
    name = f"day_{table}_{timeframe or ''}_{day:%Y%m%d}"
    options = f"ROW_GROUP_SIZE {_ROW_GROUP_SIZE}"
    if table in _BLOCK_SIZES:
        options += f", BLOCK_SIZE {_BLOCK_SIZES[table]}"
    connection.execute(f"ATTACH {quote(staged)} AS {name} ({options})")
    try:
        connection.execute(f"USE {name}")
        connection.execute(ddl)
        connection.execute("USE memory")
        rows, columns = 0, list[str]()
        for select in parts:
            if prove is None and not columns:
                columns = [row[0] for row in connection.execute(f"DESCRIBE {select}").fetchall()]
            rows += connection.execute(f"INSERT INTO {name}.{table} BY NAME {select}").fetchall()[0][0]
        connection.execute(f"CHECKPOINT {name}")
    finally:
        connection.execute("USE memory")
        connection.execute(f"DETACH {name}")
    if not rows:
        staged.unlink()
        return None
    with ThreadPoolExecutor(1, thread_name_prefix="checksum") as beside:
        digest = beside.submit(checksum, staged)
        figures = _looked_through(connection, staged, name, table, timeframe, day, columns, prove)
    return DayFile(figures, digest.result())


def _looked_through(
    connection: duckdb.DuckDBPyConnection, staged: Path, name: str, table: str, timeframe: str | None, day: date,
    columns: Sequence[str], prove: Prove | None,
) -> dict[str, Figures]:  # fmt: skip
    attach_day(connection, staged, name)
    try:
        if prove is not None:
            found = prove(f"{name}.{table}")
        else:
            found = figures_of(connection, f"SELECT * FROM {name}.{table}", table, columns)
            if table == "candles":
                refuse_odd_candles(connection, f"{name}.{table}", timeframe)
        _refuse_strangers(connection, f"{name}.{table}", day, found)
    finally:
        connection.execute(f"DETACH {name}")
    return found


def _refuse_strangers(
    connection: duckdb.DuckDBPyConnection, table: str, day: date, found: Mapping[str, Figures]
) -> None:
    start = day_start_us(day)
    end = start + US_PER_DAY
    if all(start <= each.first_us and each.last_us < end for each in found.values()):
        return
    [(count, first)] = connection.execute(
        f"SELECT count(*), min(timestamp)::VARCHAR FROM {table} WHERE epoch_us(timestamp) NOT BETWEEN ? AND ?",
        [start, end - 1],
    ).fetchall()
    what = table.partition(".")[2]
    raise Refused(f"{count} {what} are not of {day} (IST), the first at {first}; one day a file")


def refuse_odd_candles(connection: duckdb.DuckDBPyConnection, table: str, timeframe: str | None) -> None:
    """Raise unless a closed day's candles are of one timeframe, in order, and each there once."""
    # The file is sorted, so two of one minute lie side by side: a look at the neighbour costs a twentieth of grouping.
    odd = connection.execute(
        "SELECT symbol, timestamp::VARCHAR, timeframe, again FROM (SELECT symbol, timestamp, timeframe,"
        " symbol = lag(symbol) OVER () AS same, same AND timestamp = lag(timestamp) OVER () AS again,"
        " symbol < lag(symbol) OVER () OR same AND timestamp < lag(timestamp) OVER () AS back"
        f" FROM {table}) WHERE timeframe <> ? OR again OR back LIMIT 1",
        [timeframe],
    ).fetchall()
    if not odd:
        return
    symbol, timestamp, other, again = odd[0]
    if other != timeframe:
        raise Refused(f"candles of {other!r} offered for a file of {timeframe}; one timeframe a file")
    if not again:
        raise StoreCorrupt(f"the candle of {symbol} at {timestamp} lies behind a later one: a closed day is sorted")
    [(count,)] = connection.execute(
        f"SELECT count(*) FROM {table} WHERE symbol = ? AND timestamp = ?::TIMESTAMPTZ", [symbol, timestamp]
    ).fetchall()
    raise RepeatedCandle(f"{count} candles of {symbol} at {timestamp}: a closed day holds each candle once")
