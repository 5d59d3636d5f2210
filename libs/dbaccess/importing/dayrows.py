"""The SQL of one date: its rows out of the scratch database, in the order and form in which they are stored."""

from __future__ import annotations

from datetime import date

import duckdb

from libs.contracts.market import TIMEFRAMES
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, day_start_us
from libs.dbaccess.importing.staging import SCRATCH

#: The table of a date's rows as they will be stored. Temporary, so each connection has its own.
ROWS = "day_rows"
#: Of two candles of one minute the one that saw more trade is the whole one.
_ONCE = (
    "QUALIFY row_number() OVER (PARTITION BY symbol, ts_us"
    " ORDER BY volume DESC NULLS LAST, high - low DESC, high DESC, close DESC, open DESC) = 1"
)
_TICK = "price, volume, bid, ask, volume_day, open_interest, seq"


def list_symbols(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the type of symbols, whose order is theirs, and the table that says which spelling means which.

    A number sorts and groups in half the time of a text.
    """
    clean = f"FROM {SCRATCH}.names WHERE clean IS NOT NULL"
    connection.execute(f"CREATE TYPE listed AS ENUM (SELECT DISTINCT clean {clean} ORDER BY clean)")
    connection.execute(f"CREATE TABLE spellings AS SELECT symbol AS spelling, clean::listed AS symbol {clean}")


def take_candles(connection: duckdb.DuckDBPyConnection, day: date, inside: str) -> tuple[int, int]:
    """Make the table of a date's candles that meet a condition, each once; give how many met it and how many stay."""
    # Candles begin on whole minutes, and a symbol's number with a minute's fits into the eight bytes that sort fastest.
    minute = f"((ts_us - {day_start_us(day)}) // {US_PER_MINUTE})::INTEGER"
    found = _make(
        connection, ROWS,
        f"SELECT s.symbol, ts_us, open, high, low, close, coalesce(volume, 0) AS volume {_wanted(day)} AND {inside}"
        f" ORDER BY s.symbol, {minute}",
    )  # fmt: skip
    [(again,)] = connection.execute(
        "SELECT count(*) FROM (SELECT symbol = lag(symbol) OVER () AND ts_us = lag(ts_us) OVER () AS again"
        f" FROM {ROWS}) WHERE again"
    ).fetchall()
    if not again:
        return found, found
    return found, _make(connection, ROWS, f"SELECT * FROM {ROWS} {_ONCE} ORDER BY symbol, ts_us")


def take_ticks(connection: duckdb.DuckDBPyConnection, day: date, *, keep_repeats: bool) -> tuple[int, int]:
    """Make the table of a date's ticks, numbered in order of time and file, with whichever volume was missing."""
    once = f"QUALIFY row_number() OVER (PARTITION BY symbol, ts_us, {_TICK} ORDER BY row_order) = 1"
    [(found,)] = connection.execute(f"SELECT count(*) {_wanted(day)}").fetchall()
    kept = _make(
        connection, ROWS,
        f"WITH found AS (SELECT s.symbol, ts_us, r.rowid AS row_order, {_TICK} {_wanted(day)}),"
        f" ticks AS (FROM found {'' if keep_repeats else once}),"
        " filled AS (SELECT *, coalesce(volume, greatest(0, volume_day - lag(volume_day) OVER one), 0) AS traded"
        " FROM ticks WINDOW one AS (PARTITION BY symbol ORDER BY ts_us, seq, row_order))"
        " SELECT symbol, ts_us, price, traded AS volume, bid, ask, coalesce(volume_day, CAST(sum(traded) OVER"
        " (PARTITION BY symbol ORDER BY ts_us, seq, row_order) AS BIGINT)) AS volume_day, open_interest,"
        " row_number() OVER (ORDER BY ts_us, seq, row_order) AS seq FROM filled ORDER BY symbol, ts_us, seq",
    )  # fmt: skip
    return int(found), kept


def fold(connection: duckdb.DuckDBPyConnection, table: str, timeframe: str, session: Session) -> str:
    """Fold a table of bars into one of longer bars, which start where `Session.bar_start` says; give its name."""
    if timeframe == "1d":
        start = f"{day_start_us(session.date)}"
    else:
        length = TIMEFRAMES[timeframe] * US_PER_MINUTE
        start = f"ts_us - ((ts_us - {session.open_us}) % {length} + {length}) % {length}"
    longer = f"{ROWS}_{timeframe}"
    _make(
        connection, longer,
        f"SELECT symbol, {start} AS start_us, arg_min(open, ts_us) AS open, max(high) AS high, min(low) AS low,"
        f" arg_max(close, ts_us) AS close, sum(volume)::BIGINT AS volume FROM {table}"
        " GROUP BY symbol, start_us ORDER BY symbol, start_us",
    )  # fmt: skip
    connection.execute(f"ALTER TABLE {longer} RENAME start_us TO ts_us")
    return longer


def stored_select(table: str, data_type: str, timeframe: str | None) -> str:
    """Spell the SELECT that gives a table's rows as they are stored; only the symbol is still a number inside."""
    timestamp = "make_timestamptz(ts_us) AS timestamp"
    if data_type == "ticks":
        return f"SELECT symbol, {timestamp}, {_TICK} FROM {table}"
    return (
        f"SELECT symbol, '{timeframe}' AS timeframe, {timestamp}, open, high, low, close, volume, 'import' AS origin"
        f" FROM {table}"
    )


def day_number(day: date) -> int:
    """Count a date's days since the epoch."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _wanted(day: date) -> str:
    return (
        f"FROM {SCRATCH}.rows r JOIN spellings s ON r.symbol = s.spelling"
        f" WHERE r.day = {day_number(day)} AND r.refused IS NULL"
    )


def _make(connection: duckdb.DuckDBPyConnection, table: str, select: str) -> int:
    [(rows,)] = connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}").fetchall()
    return int(rows)
