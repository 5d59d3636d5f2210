"""The certificates that are stored, as structs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import msgspec

from libs.dbaccess.connections import sqlite_reader
from libs.dbaccess.manager import DatabaseManager

_READ = """
SELECT exchange, trading_date, symbol, bars_expected, bars_live, bars_backfilled, bars_synthetic, bars_missing,
       late_ticks, bars_compared, bars_differing, difference_max
FROM completeness_certificates WHERE exchange = ? AND trading_date BETWEEN ? AND ? ORDER BY trading_date, symbol
"""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's minutes of one day.

    A minute without a trade has no bar and counts as missing: whether nobody traded or nobody saw it, only the
    broker's own candles can tell. `bars_compared` is None until they were held against ours.
    """

    exchange: str
    trading_date: date
    symbol: str
    bars_expected: int
    bars_live: int
    bars_backfilled: int
    bars_synthetic: int
    bars_missing: int
    late_ticks: int
    bars_compared: int | None = None
    bars_differing: int | None = None
    difference_max: float | None = None


def stored_certificates(
    db: DatabaseManager, exchange: str, start: date, end: date, symbols: Collection[str] = ()
) -> list[Certificate]:
    """Read the certificates of the dates in `[start, end]`, of all symbols when none is named."""
    if not db.layout.catalogue.exists():
        return []
    with sqlite_reader(db.layout.catalogue, db.settings.sqlite) as connection:
        rows = connection.execute(_READ, (exchange, start.isoformat(), end.isoformat())).fetchall()
    fields = Certificate.__struct_fields__
    found = (msgspec.convert(dict(zip(fields, row, strict=True)), Certificate) for row in rows)
    return [each for each in found if not symbols or each.symbol in symbols]
