"""The writer thread: forces the journal to disk, then puts rows into the ledger and the live buffer.

Only what is on disk in the journal goes into the stores, so that after a crash of the machine no store holds a seq the
journal would give out again.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from libs.core.faults import crash_point
from libs.dbaccess.journal import Journal
from libs.dbaccess.live import Flushed
from libs.dbaccess.sqlite_session import SqliteSession
from services.ingestor.ledger import write_ledger
from services.ingestor.records import STREAMS
from services.ingestor.rollover import BufferDoor
from services.ingestor.rows import Rows, candle_columns, tick_columns


@dataclass(slots=True)
class FlushFigures:
    """What was written."""

    flushes: int = 0
    rows: int = 0
    last_ms: float = 0.0
    slowest_ms: float = 0.0
    generation: int = 0
    merge_error: str = ""


class Flusher:
    """Writes in a thread of its own, one thing at a time. An error there is raised where it is awaited."""

    def __init__(self, journal: Journal, door: BufferDoor, ledger: SqliteSession, exchange: str) -> None:
        self.figures = FlushFigures()
        self._journal = journal
        self._door = door
        self._ledger = ledger
        self._exchange = exchange
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live-buffer-writer")
        self._writing: Future[Flushed] | None = None

    async def sync(self) -> None:
        """Force the journal to disk."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._journal.sync)

    async def flush(self, rows: Rows) -> None:
        """Write rows that are all committed to the journal. What was begun is done, also when the caller is to stop.

        The rows are in no other hands: were they let go, the next flush would move the watermark past them.
        """
        self._writing = self._thread.submit(self.write, rows, self.heads())
        await asyncio.shield(asyncio.wrap_future(self._writing))
        self._writing = None

    def heads(self) -> dict[str, int]:
        """Up to where rows have been handed out: everything that is committed."""
        return {stream: self._journal.head(stream) for stream in STREAMS}

    def write(self, rows: Rows, heads: dict[str, int]) -> Flushed:
        """Do it in the calling thread."""
        self._journal.sync()
        write_ledger(self._ledger, self._exchange, rows)
        crash_point("ingestor.ledger.after")
        buffer = self._door.buffer
        if rows.ticks:
            buffer.append("ticks", tick_columns(rows.ticks))
        if candles := rows.candles():
            buffer.append("candles", candle_columns(candles))
        flushed = buffer.flush(watermarks=heads)
        figures = self.figures
        figures.flushes += 1
        figures.rows += sum(flushed.rows.values())
        figures.last_ms = flushed.took_ms
        figures.slowest_ms = max(figures.slowest_ms, flushed.took_ms)
        figures.generation, figures.merge_error = flushed.generation, flushed.merge_error
        return flushed

    def close(self) -> None:
        """Wait for what is being written; raise what became of it when nobody else waits for it any more."""
        self._thread.shutdown(wait=True)
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()
