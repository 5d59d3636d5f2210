"""Our closed minutes against the broker's: how many disagree, and by how much."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

import pyarrow as pa

from libs.core.errors import Refused
from libs.dbaccess.connections import duckdb_memory, sqlite_writer
from libs.dbaccess.coverage.certificates import certify_day, open_closed
from libs.dbaccess.manager import DatabaseManager

#: Half a paisa: prices of both sides are rounded to the tick.
_TOLERANCE = 0.005
_COMPARE = """
SELECT o.symbol, count(*), count(*) FILTER (apart > ? OR o.volume <> t.volume), max(apart)
FROM candles o JOIN theirs t ON t.symbol = o.symbol AND t.timestamp = o.timestamp,
     LATERAL (SELECT greatest(abs(o.open - t.open), abs(o.high - t.high), abs(o.low - t.low),
                              abs(o.close - t.close)) AS apart)
GROUP BY o.symbol ORDER BY o.symbol
"""
_STORE = """
UPDATE completeness_certificates SET bars_compared = ?, bars_differing = ?, difference_max = ?
WHERE exchange = ? AND trading_date = ? AND symbol = ?
"""


class Compared(NamedTuple):
    """A symbol's minutes that both sides have, those of them that differ, the largest difference of a price."""

    symbol: str
    bars: int
    differing: int
    difference_max: float


def compare_with_broker(db: DatabaseManager, exchange: str, day: date, theirs: pa.Table) -> list[Compared]:
    """Hold a closed day's 1m candles against the broker's (columns as `candles`) and note it in the certificates.

    Nothing of ours is changed. A bar made by backfill was the broker's, so it is compared too and agrees.
    """
    with duckdb_memory() as connection:
        if not open_closed(connection, db, exchange, "candles", day):
            path = db.layout.day(exchange, "candles", "1m", day)
            raise Refused(f"{path}: this day is not closed, so there is nothing to compare the broker's candles with")
        connection.register("theirs", theirs)
        found = [Compared(*row) for row in connection.execute(_COMPARE, [_TOLERANCE]).fetchall()]
    with db.history_lock():
        certify_day(db, exchange, day, theirs["symbol"].unique().to_pylist())
        with sqlite_writer(db.layout.catalogue, db.settings.sqlite, durable=False) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                rows = [(each[1], each[2], each[3], exchange, day.isoformat(), each.symbol) for each in found]
                connection.executemany(_STORE, rows)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
    return found
