"""A day's certificates: the minutes the calendar's session has, held against the minutes of the closed file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec
import numpy as np
import numpy.typing as npt

from libs.calendar import CalendarError
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us
from libs.dbaccess import catalogue
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.connections import attach_day, duckdb_memory, parquet_source, sqlite_writer
from libs.dbaccess.coverage.stored import Certificate
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.queries.catalogue import archived_parts
from libs.dbaccess.roles import Store, require_owner

#: A certificate that is drawn up again keeps what is known of the broker's candles: ours of a closed day don't change.
_STORE = """
INSERT INTO completeness_certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?)
ON CONFLICT DO UPDATE SET
    bars_expected = excluded.bars_expected, bars_live = excluded.bars_live,
    bars_backfilled = excluded.bars_backfilled, bars_synthetic = excluded.bars_synthetic,
    bars_missing = excluded.bars_missing, late_ticks = excluded.late_ticks,
    certified_at_us = excluded.certified_at_us
"""
#: A bar outside the session's minutes, as the closing auction's, fills none of them. A share that takes part in the
#: auction trades continuously until it begins only, and shows it: nothing in the minutes that only others trade in,
#: and a price of the auction after them.
_COUNT = """
SELECT symbol, bool_or(auctioned) AND NOT bool_or(others_only) AS in_auction,
       count(*) FILTER (expected AND origin = 'live') AS live,
       count(*) FILTER (expected AND origin IN ('backfill', 'import')) AS backfilled,
       count(*) FILTER (expected AND origin = 'synthetic') AS synthetic
FROM (
    SELECT symbol, origin, us BETWEEN {close_us} AND {last_us} - 1 AS auctioned,
           {minutes} AS expected, expected AND NOT {shorter} AS others_only
    FROM (SELECT symbol, origin, epoch_us(timestamp) AS us FROM ({candles}))
) GROUP BY symbol
"""


class Counted(NamedTuple):
    """A symbol's minutes of a day by origin, and whether it took part in the closing auction."""

    in_auction: bool
    live: int
    backfilled: int
    synthetic: int


class Minutes(NamedTuple):
    """A day's session and what there is of its minutes, from who has the rows of the day's file at hand."""

    session: Session
    counted: Mapping[str, Counted]


_NONE = Counted(in_auction=False, live=0, backfilled=0, synthetic=0)
_EXPECTED, _AUCTIONED, _OTHERS_ONLY = 1, 2, 4


def certify_day(
    db: DatabaseManager, exchange: str, day: date, symbols: Collection[str] = (), *,
    minutes: Minutes | None = None, traded: Collection[str] | None = None,
) -> list[Certificate]:  # fmt: skip
    """Draw up and store the certificates of a closed day; the caller holds the history lock.

    `symbols` should have been captured, so one without a single row has a certificate too. Nothing comes of a date
    without a session. Who has just closed the day may know its `minutes`, or the symbols of its ticks (`traded`).
    """
    require_owner(db.role, Store.HISTORY)
    made = certify_tables(db, exchange, day, symbols, minutes=minutes, traded=traded)
    if not made:
        return []
    settings = db.settings.sqlite
    catalogue.ensure(db.layout, clock=db.clock, settings=settings)
    with sqlite_writer(db.layout.catalogue, settings, durable=False) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_STORE, [_row(each, db.clock.now_us()) for each in made])
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
    return made


def certify_tables(
    db: DatabaseManager, exchange: str, day: date, symbols: Collection[str] = (), *,
    minutes: Minutes | None = None, traded: Collection[str] | None = None,
) -> list[Certificate]:  # fmt: skip
    """Count a closed day's minutes without storing anything; empty when it has no file or no session."""
    session = minutes.session if minutes else _session(db, exchange, day)
    if session is None:
        return []
    late = _late_ticks(db, exchange, day)
    counted = minutes.counted if minutes else _count_closed(db, exchange, day, session)
    traded = _closed_ticks(db, exchange, day) if traded is None else traded
    if not (symbols or counted is not None or traded is not None):
        return []
    counted = counted or {}
    names = counted.keys() | set(traded or ()) | set(symbols) | late.keys()
    expected = {takes_part: len(session.bar_starts("1m", closing_auction=takes_part)) for takes_part in (False, True)}
    return [
        Certificate(
            exchange=exchange, trading_date=day, symbol=symbol, bars_expected=expected[takes_part], bars_live=live,
            bars_backfilled=backfilled, bars_synthetic=synthetic,
            bars_missing=expected[takes_part] - live - backfilled - synthetic, late_ticks=late.get(symbol, 0),
        )
        for symbol in sorted(names)
        for takes_part, live, backfilled, synthetic in [counted.get(symbol, _NONE)]
    ]  # fmt: skip


def count_imported(
    symbols: Sequence[str], starts: npt.NDArray[np.int64], moments_us: npt.NDArray[np.int64], session: Session
) -> dict[str, Counted]:
    """Count what a file of imported candles will hold, whose minutes lie sorted in memory, each symbol's from a place.

    By a table of the day's minutes: a look at it is a tenth of the conditions that a file's rows are counted by.
    """
    first_us = day_start_us(session.date)
    day = first_us + np.arange(US_PER_DAY // US_PER_MINUTE) * US_PER_MINUTE
    expected = np.isin(day, session.bar_starts("1m"))
    others_only = expected & ~np.isin(day, session.bar_starts("1m", closing_auction=True))
    auctioned = (day >= session.close_us) & (day < session.last_us)
    kinds = (_EXPECTED * expected | _AUCTIONED * auctioned | _OTHERS_ONLY * others_only).astype(np.uint8)
    found = kinds[(moments_us - first_us) // US_PER_MINUTE]
    in_auction = np.bitwise_or.reduceat(found, starts) & (_AUCTIONED | _OTHERS_ONLY) == _AUCTIONED
    rows = np.add.reduceat(found & _EXPECTED, starts, dtype=np.int64)
    return {
        symbol: Counted(took_part, 0, count, 0)
        for symbol, took_part, count in zip(symbols, in_auction.tolist(), rows.tolist(), strict=True)
    }


def closed_symbols(db: DatabaseManager, exchange: str, day: date, *, most_traded: int | None = None) -> list[str]:
    """Name the symbols that have 1m candles in a closed day, hot or archived; or so many, by what was traded."""
    order = "symbol" if most_traded is None else f"sum(close * volume) DESC, symbol LIMIT {int(most_traded)}"
    with duckdb_memory() as connection:
        if not open_closed(connection, db, exchange, "candles", day):
            return []
        rows = connection.execute(f"SELECT symbol FROM candles GROUP BY symbol ORDER BY {order}").fetchall()
    return [symbol for (symbol,) in rows]


def open_closed(
    connection: duckdb.DuckDBPyConnection, db: DatabaseManager, exchange: str, table: str, day: date
) -> bool:
    """Make a view of a day's candles or ticks, hot or archived; False when there is neither."""
    path, parts = _closed_files(db, exchange, table, day)
    if path.exists():
        attach_day(connection, path, f"of_{table}")
        source = f"of_{table}.{table}"
    elif parts:
        source = parquet_source(parts)
    else:
        return False
    connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {source}")
    return True


def _closed_files(db: DatabaseManager, exchange: str, table: str, day: date) -> tuple[Path, Sequence[Path]]:
    """Give where a day's file is, and the files of its archive where that has it instead."""
    timeframe = "1m" if table == "candles" else None
    path = db.layout.day(exchange, table, timeframe, day)
    return path, () if path.exists() else archived_parts(db.layout, exchange, table, timeframe, day)


def _is_closed(db: DatabaseManager, exchange: str, table: str, day: date) -> bool:
    """Whether there is anything to open an engine for, which takes longer than to look."""
    path, parts = _closed_files(db, exchange, table, day)
    return path.exists() or bool(parts)


def _session(db: DatabaseManager, exchange: str, day: date) -> Session | None:
    try:
        return load_calendar(db.layout.root, exchange).session(day)
    except CalendarError:
        return None


def _count_closed(db: DatabaseManager, exchange: str, day: date, session: Session) -> dict[str, Counted] | None:
    if not _is_closed(db, exchange, "candles", day):
        return None
    with duckdb_memory() as connection:
        open_closed(connection, db, exchange, "candles", day)
        return _count(connection, "FROM candles", session)


def _count(connection: duckdb.DuckDBPyConnection, candles: str, session: Session) -> dict[str, Counted]:
    counted = _COUNT.format(
        candles=candles, close_us=session.close_us, last_us=session.last_us, minutes=_within(session.spans),
        shorter=_within(session.spans_of(closing_auction=True)),
    )  # fmt: skip
    return {symbol: Counted(*counts) for symbol, *counts in connection.execute(counted).fetchall()}


def _within(spans: Sequence[tuple[int, int]]) -> str:
    """Spell the condition that `us` is the start of one of the minutes of some stretches."""
    each = (f"us >= {start} AND us < {end} AND (us - {start}) % {US_PER_MINUTE} = 0" for start, end in spans)
    return f"({' OR '.join(each) or 'false'})"


def _closed_ticks(db: DatabaseManager, exchange: str, day: date) -> set[str] | None:
    """Name the symbols of a closed day's ticks; None when it has none."""
    if not _is_closed(db, exchange, "ticks", day):
        return None
    with duckdb_memory() as connection:
        open_closed(connection, db, exchange, "ticks", day)
        return {symbol for (symbol,) in connection.execute("SELECT DISTINCT symbol FROM ticks").fetchall()}


def _late_ticks(db: DatabaseManager, exchange: str, day: date) -> dict[str, int]:
    if not db.layout.ledger.exists():
        return {}
    with db.ledger_reader() as connection:
        rows = connection.execute(
            "SELECT symbol, count(*) FROM late_ticks WHERE exchange = ? AND trading_date = ? GROUP BY symbol",
            (exchange, day.isoformat()),
        ).fetchall()
    return dict(rows)


def _row(each: Certificate, now_us: int) -> tuple[object, ...]:
    values = msgspec.structs.astuple(each)[:9]
    return (values[0], each.trading_date.isoformat(), *values[2:], now_us)
