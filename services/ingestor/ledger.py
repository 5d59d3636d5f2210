"""Rows of the ledger. Every one can be written again without harm: a replay of the journal does."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.contracts import Backfilled, FeedGap
from libs.core.clock import trading_date
from libs.dbaccess.sqlite_session import SqliteSession
from services.ingestor.rows import LateTick, Quarantine, Rows

_LATE = """
INSERT OR IGNORE INTO late_ticks
    (exchange, symbol, trading_date, timestamp_us, price, volume, tick_seq, bar_us, received_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
#: The row's number is the record's seq in the stream of ticks.
_QUARANTINE = """
INSERT OR IGNORE INTO quarantine (quarantine_id, exchange, symbol, reason, timestamp_us, received_at_us, raw)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_GAP = """
INSERT OR IGNORE INTO feed_gaps (gap_id, exchange, trading_date, from_us, cause, detail, recorded_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_GAP_ENDED = "UPDATE feed_gaps SET to_us = ? WHERE gap_id = ? AND to_us IS NULL"
#: The row's number is the record's seq in the stream of candles.
_BACKFILL = """
INSERT OR IGNORE INTO backfills
    (backfill_id, gap_id, exchange, symbol, timeframe, from_us, to_us, rows_added, rows_differing, outcome, detail,
     recorded_at_us)
VALUES (?, ?, ?, ?, '1m', ?, ?, ?, ?, ?, ?, ?)
"""


def write_ledger(session: SqliteSession, exchange: str, rows: Rows) -> None:
    """Write what belongs into the ledger, in one transaction."""
    if not (rows.late or rows.quarantine or rows.gaps or rows.backfills):
        return
    with session.transaction() as connection:
        connection.executemany(_LATE, [_late(exchange, row) for row in rows.late])
        connection.executemany(_QUARANTINE, [_quarantine(exchange, row) for row in rows.quarantine])
        for gap in rows.gaps:
            _write_gap(connection, gap)
        connection.executemany(_BACKFILL, [_backfill(row) for row in rows.backfills])


def _late(exchange: str, row: LateTick) -> tuple[object, ...]:
    tick = row.tick
    day = trading_date(tick.timestamp_us).isoformat()
    return (
        exchange, tick.symbol, day, tick.timestamp_us, tick.price, tick.volume, tick.seq, row.bar_us, tick.received_us,
    )  # fmt: skip


def _quarantine(exchange: str, row: Quarantine) -> tuple[object, ...]:
    tick = row.tick
    raw = row.raw or msgspec.json.encode({"detail": row.detail, "tick": msgspec.to_builtins(tick)})
    return (
        row.seq, exchange, tick.symbol if tick else None, row.reason, tick.timestamp_us if tick else None,
        row.received_us, raw,
    )  # fmt: skip


def _backfill(row: Backfilled) -> tuple[object, ...]:
    added = sum(bar.timeframe == "1m" for bar in row.bars)
    return (
        row.seq, row.gap_id, row.exchange, row.symbol, row.timestamp_us, row.to_us, added, row.differing, row.outcome,
        row.detail, row.recorded_at_us,
    )  # fmt: skip


def _write_gap(connection: Any, gap: FeedGap) -> None:
    day = trading_date(gap.timestamp_us).isoformat()
    connection.execute(
        _GAP, (gap.gap_id, gap.exchange, day, gap.timestamp_us, gap.cause, gap.detail, gap.recorded_at_us)
    )
    if gap.to_us:
        connection.execute(_GAP_ENDED, (gap.to_us, gap.gap_id))
