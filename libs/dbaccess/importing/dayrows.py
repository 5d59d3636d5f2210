"""The SQL of one date: its rows out of the scratch database, in the order and form in which they are stored."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import duckdb

from libs.contracts.market import TIMEFRAMES, Origin
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us
from libs.dbaccess.importing.rows import VALUES
from libs.dbaccess.importing.staging import SCRATCH

#: The table of a date's rows as they will be stored. Temporary, so each connection has its own.
ROWS = "day_rows"
#: Of two candles of one minute the one that saw more trade is the whole one.
_ONCE = (
    "QUALIFY row_number() OVER (PARTITION BY symbol, ts_us"
    " ORDER BY volume DESC NULLS LAST, high - low DESC, high DESC, close DESC, open DESC) = 1"
)
_IN_TIME = "ticks_in_time"


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
    if not _some_share_an_instant(connection):
        return found, found
    return found, _make(connection, ROWS, f"SELECT * FROM {ROWS} {_ONCE} ORDER BY symbol, ts_us")


def take_ticks(connection: duckdb.DuckDBPyConnection, day: date, *, keep_repeats: bool) -> tuple[int, int]:
    """Make the table of a date's ticks, numbered in order of time and file, with whichever volume was missing."""
    columns = VALUES["ticks"]
    counts = ", ".join(f"count({column})" for column in columns)
    [(rows, *filled)] = connection.execute(
        f"SELECT count(*), {counts} FROM {SCRATCH}.rows WHERE {_good(day)}"
    ).fetchall()
    there = [column for column, count in zip(columns, filled, strict=True) if count]
    whole = {column for column, count in zip(columns, filled, strict=True) if count == rows}
    in_time = "ts_us, seq, r.rowid" if "seq" in there else "ts_us, r.rowid"
    found = _make(connection, _IN_TIME, f"SELECT s.symbol, ts_us, {', '.join(there)} {_wanted(day)} ORDER BY {in_time}")
    numbered = (
        f"SELECT symbol, ts_us, {', '.join(_column(name, there) for name in columns if name != 'seq')},"
        f" row_number() OVER () AS seq FROM {_IN_TIME}"
    )
    ticks = _with_volumes(f"SELECT * FROM ({numbered}) ORDER BY symbol, seq", there, whole)
    kept = _make(connection, ROWS, ticks)
    # Equal ticks are of one instant, and it costs next to nothing to see that no two are.
    if not keep_repeats and _some_share_an_instant(connection) and _drop_repeats(connection, there):
        kept = _make(connection, ROWS, ticks)
    connection.execute(f"DROP TABLE {_IN_TIME}")
    return found, kept


def _column(name: str, there: Collection[str]) -> str:
    """Spell a column; what no row has is not sorted and written with the others."""
    return name if name in there else f"NULL::{VALUES['ticks'][name]} AS {name}"


def _some_share_an_instant(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether two rows of a symbol, which lie side by side, have the same time."""
    [(some,)] = connection.execute(
        "SELECT coalesce(bool_or(again), false) FROM"
        f" (SELECT symbol = lag(symbol) OVER () AND ts_us = lag(ts_us) OVER () AS again FROM {ROWS})"
    ).fetchall()
    return bool(some)


def _drop_repeats(connection: duckdb.DuckDBPyConnection, columns: Collection[str]) -> int:
    """Keep the first of the ticks that are equal in every column; give how many went.

    Only those whose hash is there twice are compared: to group all of them by nine columns takes as long as to read
    the file.
    """
    every = f"symbol, ts_us, {', '.join(columns)}"
    [(gone,)] = connection.execute(
        f"DELETE FROM {_IN_TIME} WHERE rowid IN (SELECT rowid FROM {_IN_TIME} WHERE hash({every}) IN"
        f" (SELECT hash({every}) AS twice FROM {_IN_TIME} GROUP BY twice HAVING count(*) > 1)"
        f" QUALIFY row_number() OVER (PARTITION BY {every} ORDER BY rowid) > 1)"
    ).fetchall()
    return int(gone)


def _with_volumes(ticks: str, there: Collection[str], whole: Collection[str]) -> str:
    """Spell ticks, given by symbol and time, with both volumes: one that a tick lacks is made from the other.

    Windows over nothing follow the order they are given, in a quarter of the time that a partition takes; where a
    symbol begins is known by the row before.
    """
    if "volume" not in whole:
        since = "greatest(0, CASE WHEN symbol = lag(symbol) OVER () THEN volume_day - lag(volume_day) OVER () END)"
        made = since if "volume_day" in there else "0"
        ticks = f"SELECT * REPLACE (coalesce(volume, {made}) AS volume) FROM ({ticks})"
    if "volume_day" not in whole:
        so_far = "OVER (ROWS UNBOUNDED PRECEDING)"
        ticks = (
            f"SELECT *, sum(volume) {so_far} AS total, symbol IS DISTINCT FROM lag(symbol) OVER () AS first"
            f" FROM ({ticks})"
        )
        traded = f"total - last_value(CASE WHEN first THEN total - volume END IGNORE NULLS) {so_far}"
        ticks = (
            "SELECT * EXCLUDE (total, first)"
            f" REPLACE (coalesce(volume_day, ({traded})::BIGINT) AS volume_day) FROM ({ticks})"
        )
    return ticks


def fold(connection: duckdb.DuckDBPyConnection, table: str, timeframe: str, session: Session) -> str:
    """Fold a table of bars into one of longer bars, which start where `Session.bar_start` says; give its name."""
    if timeframe == "1d":
        first_us, length = day_start_us(session.date), US_PER_DAY
    else:  # the first that the date can have, of those that are anchored at the open
        length = TIMEFRAMES[timeframe] * US_PER_MINUTE
        first_us = session.open_us - ((session.open_us - day_start_us(session.date)) // length + 1) * length
    longer = f"{ROWS}_{timeframe}"
    # Grouped and sorted by a small number, as they are taken.
    _make(
        connection, longer,
        f"SELECT symbol, {first_us} + number::BIGINT * {length} AS ts_us, {', '.join(VALUES['candles'])} FROM"
        f" (SELECT symbol, ((ts_us - {first_us}) // {length})::INTEGER AS number, arg_min(open, ts_us) AS open,"
        " max(high) AS high, min(low) AS low, arg_max(close, ts_us) AS close, sum(volume)::BIGINT AS volume"
        f" FROM {table} GROUP BY symbol, number) ORDER BY symbol, number",
    )  # fmt: skip
    return longer


def stored_select(table: str, data_type: str) -> str:
    """Spell the SELECT that gives a table's rows as they are stored; only the symbol is still a number inside.

    What `every_row` says of candles is in none of them.
    """
    timestamp = "make_timestamptz(ts_us) AS timestamp"
    return f"SELECT symbol, {timestamp}, {', '.join(VALUES[data_type])} FROM {table}"


def every_row(data_type: str, timeframe: str | None) -> dict[str, str | None]:
    """Give what all candles of one imported file have in common: none of them was ever published."""
    return {} if data_type == "ticks" else {"timeframe": timeframe, "origin": Origin.IMPORT.value, "seq": None}


def day_number(day: date) -> int:
    """Count a date's days since the epoch."""
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _wanted(day: date) -> str:
    return f"FROM {SCRATCH}.rows r JOIN spellings s ON r.symbol = s.spelling WHERE {_good(day)}"


def _good(day: date) -> str:
    return f"day = {day_number(day)} AND refused IS NULL"


def _make(connection: duckdb.DuckDBPyConnection, table: str, select: str) -> int:
    [(rows,)] = connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}").fetchall()
    return int(rows)
