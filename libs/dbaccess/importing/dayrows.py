"""The SQL of one date: its rows out of the scratch database, in the order and form in which they are stored."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import duckdb

from libs.contracts.market import Origin
from libs.dbaccess.importing.rows import VALUES
from libs.dbaccess.importing.scratch import TickRows

#: The table of a date's rows as they will be stored. Temporary, so each connection has its own.
ROWS = "day_rows"
_IN_TIME = "ticks_in_time"


def take_ticks(connection: duckdb.DuckDBPyConnection, staged: TickRows, *, keep_repeats: bool) -> tuple[int, int]:
    """Make the table of a date's ticks, numbered in order of time and file, with whichever volume was missing."""
    columns = VALUES["ticks"]
    there = [column for column in columns if staged.filled[column]]
    whole = {column for column in there if staged.filled[column] == staged.rows}
    found = _make_in_time(connection, staged.source, there)
    values = [name for name in there if name != "seq"]
    numbered = f"SELECT {', '.join(('symbol', 'ts_us', *values, 'row_number() OVER () AS seq'))} FROM {_IN_TIME}"
    every = ", ".join(_column(name, values) for name in columns if name != "seq")
    ticks = f"SELECT symbol, ts_us, {every}, seq FROM (SELECT * FROM ({numbered}) ORDER BY symbol, seq)"
    ticks = _with_volumes(ticks, there, whole)
    kept = _make(connection, ROWS, ticks)
    # Equal ticks are of one instant, and it costs next to nothing to see that no two are.
    if not keep_repeats and _some_share_an_instant(connection) and _drop_repeats(connection, there):
        kept = _make(connection, ROWS, ticks)
    connection.execute(f"DROP TABLE {_IN_TIME}")
    return found, kept


def _make_in_time(connection: duckdb.DuckDBPyConnection, source: str, there: Sequence[str]) -> int:
    """Make the table of a date's ticks in order of time and line; most files are, and to see it is quickly done."""
    in_time = ("ts_us", "seq", "line") if "seq" in there else ("ts_us", "line")
    select = f"SELECT {', '.join(('symbol', 'ts_us', *there, 'line'))} FROM {source}"
    found = _make(connection, _IN_TIME, select)
    before = ", ".join(f"lag({name}) OVER ()" for name in in_time)
    [(some_back,)] = connection.execute(
        "SELECT coalesce(bool_or(back), false) FROM"
        f" (SELECT lag(line) OVER () IS NOT NULL AND ({', '.join(in_time)}) < ({before}) AS back FROM {_IN_TIME})"
    ).fetchall()
    return _make(connection, _IN_TIME, f"{select} ORDER BY {', '.join(in_time)}") if some_back else found


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


def stored_select(table: str) -> str:
    """Spell the SELECT that gives a table of ticks as they are stored; only the symbol is still a number inside."""
    timestamp = "make_timestamptz(ts_us) AS timestamp"
    return f"SELECT symbol, {timestamp}, {', '.join(VALUES['ticks'])} FROM {table}"


def every_row(data_type: str, timeframe: str | None) -> dict[str, str | None]:
    """Give what all candles of one imported file have in common: none of them was ever published."""
    return {} if data_type == "ticks" else {"timeframe": timeframe, "origin": Origin.IMPORT.value, "seq": None}


def _make(connection: duckdb.DuckDBPyConnection, table: str, select: str) -> int:
    [(rows,)] = connection.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {select}").fetchall()
    return int(rows)
