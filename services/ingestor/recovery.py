"""Startup is recovery: what the journal holds beyond the stores goes into them, and the open bars are as they were.

Bars that were published are taken from the journal and never made again; subscribers ask for what they missed.
"""

from __future__ import annotations

from dataclasses import dataclass

from libs.contracts import Backfilled, FeedGap, OHLCVBar, Tick
from libs.core.clock import Clock
from libs.dbaccess.journal import Journal
from libs.dbaccess.live import LiveBuffer
from services.ingestor.day import TradingDay
from services.ingestor.flusher import Flusher
from services.ingestor.records import CANDLES, STREAMS, TICKS, payload_of
from services.ingestor.rows import LateTick, Quarantine, Rows

_ROWS_A_FLUSH = 200_000


@dataclass(slots=True)
class Recovery:
    """What was found, for the log."""

    records: int = 0
    rows: int = 0
    took_ms: float = 0.0


def watermarks(buffer: LiveBuffer) -> dict[str, int]:
    """The highest seq each stream reached in a store; the journal goes on beyond it."""
    tables = [buffer.watermarks(table) for table in ("ticks", "candles")]
    return {stream: max(table.get(stream, 0) for table in tables) for stream in STREAMS}


def recover(journal: Journal, buffer: LiveBuffer, day: TradingDay, flusher: Flusher, clock: Clock) -> Recovery:
    """Bring stores and state to where the journal ends."""
    started_ns = clock.monotonic_ns()
    # Each live file commits by itself: a stream's own file says how far its rows came.
    stored = {TICKS: buffer.watermarks("ticks").get(TICKS, 0), CANDLES: buffer.watermarks("candles").get(CANDLES, 0)}
    highest = watermarks(buffer)
    reached = dict(stored)
    found = Recovery()
    rows = Rows()
    for record in journal.records():
        payload = payload_of(record)
        day.replay(record, payload)
        found.records += 1
        if record.seq > stored[record.stream]:
            found.rows += _keep(rows, payload)
            reached[record.stream] = record.seq
            # Not while one file is still behind the other: its watermark would go back, or skip rows.
            if len(rows) >= _ROWS_A_FLUSH and all(reached[stream] >= seq for stream, seq in highest.items()):
                flusher.write(rows.take(), reached)
    flusher.write(rows, flusher.heads())
    found.took_ms = (clock.monotonic_ns() - started_ns) / 1e6
    return found


def _keep(rows: Rows, payload: object) -> int:
    if isinstance(payload, Tick):
        rows.ticks.append(payload)
    elif isinstance(payload, OHLCVBar):
        rows.bars.append(payload)
    elif isinstance(payload, LateTick):
        rows.late.append(payload)
    elif isinstance(payload, Quarantine):
        rows.quarantine.append(payload)
    elif isinstance(payload, FeedGap):
        rows.gaps.append(payload)
    elif isinstance(payload, Backfilled):
        rows.backfills.append(payload)
    else:
        return 0
    return 1
