"""The writer thread when the process is told to stop in the middle of it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from libs.contracts import Tick
from libs.core.errors import Refused
from libs.dbaccess.journal import Journal, Kind
from services.ingestor.flusher import Flusher
from services.ingestor.records import NO_TOPIC, STREAMS, TICKS
from services.ingestor.rows import Rows


class Buffer:
    """Takes rows like the live buffer; may refuse a flush."""

    def __init__(self) -> None:
        self.rows = 0
        self.watermarks: dict[str, int] = {}
        self.refuses = False

    def append(self, _table: str, rows: Any) -> None:
        if self.refuses:
            raise Refused("the buffer refuses")
        self.rows += rows.num_rows

    def flush(self, *, watermarks: dict[str, int]) -> Any:
        self.watermarks = watermarks
        return SimpleNamespace(rows={}, took_ms=0.0, generation=1, merge_error="")


def stopped_before_the_thread_turned_to_it(folder: Path, buffer: Buffer) -> Flusher:
    """A flush whose task is cancelled while the thread is busy with something else."""
    journal = Journal.open(folder / "journal", STREAMS)
    journal.append(Kind.TICK, TICKS, NO_TOPIC, b"")
    flusher = Flusher(journal, SimpleNamespace(buffer=buffer), None, "nse")  # type: ignore[arg-type]
    rows, busy = Rows(), threading.Event()
    rows.ticks.append(Tick("ACC", 1, 100.0, seq=1))

    async def told_to_stop() -> None:
        flusher._thread.submit(busy.wait, 30)
        task = asyncio.ensure_future(flusher.flush(rows))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(told_to_stop())
    finally:
        busy.set()
    return flusher


def test_a_flush_that_was_begun_is_done_although_its_task_is_cancelled(tmp_path):
    """Its rows are in no other hands, and the last flush moves the watermark past them."""
    buffer = Buffer()
    flusher = stopped_before_the_thread_turned_to_it(tmp_path, buffer)
    flusher.close()
    flusher.write(Rows(), flusher.heads())

    assert (buffer.rows, buffer.watermarks[TICKS]) == (1, 1)


def test_a_flush_that_fails_after_its_task_is_gone_is_told_before_the_last_one(tmp_path):
    buffer = Buffer()
    buffer.refuses = True
    flusher = stopped_before_the_thread_turned_to_it(tmp_path, buffer)

    with pytest.raises(Refused):
        flusher.close()
    flusher.close()  # told once
