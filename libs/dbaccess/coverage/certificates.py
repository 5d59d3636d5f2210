"""A day's certificates: the minutes the calendar's session has, held against the minutes of the closed file."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import duckdb
import msgspec
import pyarrow as pa

from libs.calendar import Calendar, CalendarError
from libs.dbaccess import catalogue
from libs.dbaccess.connections import attach_day, duckdb_memory, sqlite_writer
from libs.dbaccess.coverage.stored import Certificate
from libs.dbaccess.manager import DatabaseManager
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
#: A bar outside the session's minutes, as the closing auction's, fills none of them.
_COUNT = """
SELECT s.symbol, count(c.origin) FILTER (c.origin = 'live'),
       count(c.origin) FILTER (c.origin IN ('backfill', 'import')), count(c.origin) FILTER (c.origin = 'synthetic')
FROM symbols s LEFT JOIN (SELECT symbol, origin FROM of_candles.candles SEMI JOIN minutes ON timestamp = minute) c
     ON c.symbol = s.symbol
GROUP BY s.symbol ORDER BY s.symbol
"""


def certify_day(db: DatabaseManager, exchange: str, day: date, symbols: Collection[str] = ()) -> list[Certificate]:
    """Draw up and store the certificates of a closed day; the caller holds the history lock.

    `symbols` should have been captured, so one without a single row has a certificate too. Nothing comes of a date
    without a session.
    """
    require_owner(db.role, Store.HISTORY)
    made = certify_tables(db, exchange, day, symbols)
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


def certify_tables(db: DatabaseManager, exchange: str, day: date, symbols: Collection[str] = ()) -> list[Certificate]:
    """Count a closed day's minutes without storing anything; empty when it has no file or no session."""
    try:
        session = Calendar.load(exchange).session(day)
    except CalendarError:
        return []
    files = {
        "candles": db.layout.day(exchange, "candles", "1m", day),
        "ticks": db.layout.day(exchange, "ticks", None, day),
    }
    there = {table: path for table, path in files.items() if path.exists()}
    if session is None or not (there or symbols):
        return []
    expected = session.bar_starts("1m")
    late = _late_ticks(db, exchange, day)
    with duckdb_memory() as connection:
        names = set(symbols) | late.keys()
        for table, path in there.items():
            attach_day(connection, path, f"of_{table}")
            listed = connection.execute(f"SELECT DISTINCT symbol FROM of_{table}.{table}").fetchall()
            names |= {symbol for (symbol,) in listed}
        counted = _count(connection, expected, sorted(names), has_candles="candles" in there)
    return [
        Certificate(
            exchange=exchange, trading_date=day, symbol=symbol, bars_expected=len(expected), bars_live=live,
            bars_backfilled=backfilled, bars_synthetic=synthetic,
            bars_missing=len(expected) - live - backfilled - synthetic, late_ticks=late.get(symbol, 0),
        )
        for symbol, live, backfilled, synthetic in counted
    ]  # fmt: skip


def _count(
    connection: duckdb.DuckDBPyConnection, expected: Collection[int], names: list[str], *, has_candles: bool
) -> list[tuple[str, int, int, int]]:
    if not has_candles:
        return [(name, 0, 0, 0) for name in names]
    starts = pa.array(expected, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    connection.register("minutes", pa.table({"minute": starts}))
    connection.register("symbols", pa.table({"symbol": pa.array(names, pa.string())}))
    return connection.execute(_COUNT).fetchall()


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
