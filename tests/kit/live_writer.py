"""A program: the owner of a live buffer, writing checkable batches, to be killed anywhere and started again.

Batch b is ticks b*TICKS… and candles b*CANDLES…; each start goes on behind the watermark of each file, as a replay of
the journal would. Settings come as JSON; every flush is told on stdout, once it is done.
"""

from __future__ import annotations

import json
import sys
import time

import msgspec

from libs.core.clock import SystemClock
from libs.dbaccess import WriterLock
from libs.dbaccess.layout import Layout
from libs.dbaccess.live import LiveBuffer, open_live_buffer
from libs.dbaccess.roles import Store
from libs.dbaccess.schema import live_ddl
from libs.settings.storage import Live
from tests.kit.live import candles, ticks


class Task(msgspec.Struct, frozen=True):
    """What to write: so many batches, `per_flush` of them a flush, paced when `batch_s` is set."""

    root: str
    batches: int
    ticks: int = 100
    candles: int = 10
    per_flush: int = 1
    batch_s: float = 0.0
    settle_merges: bool = False
    live: Live = Live(merge_minute_segments_min=3, merge_hour_segments_min=2)


def main(task: Task) -> None:
    layout = Layout(task.root)
    with (
        WriterLock(layout.lock(Store.LIVE)),
        open_live_buffer(layout, task.live, SystemClock(), exchange="nse", ddl=live_ddl()) as buffer,
    ):
        say(generation=buffer.manifest.generation)
        catch_up(buffer, task)
        write(buffer, task)
    say(done=True)


def catch_up(buffer: LiveBuffer, task: Task) -> None:
    """Bring the file that committed one flush less level with the other."""
    next_tick, next_bar = positions(buffer)
    level = next_tick // task.ticks * task.candles
    if next_bar < level:
        buffer.append("candles", candles(next_bar, level - next_bar))
        buffer.flush(watermarks={"bar": level - 1})


def write(buffer: LiveBuffer, task: Task) -> None:
    first = positions(buffer)[0] // task.ticks
    ticks(0, 1)  # pyarrow imports pandas with its first array, which is no business of the clock below
    start = time.monotonic()
    published = start
    append_ms = 0.0
    for number, batch in enumerate(range(first, task.batches), start=1):
        time.sleep(max(0.0, start + (number - 1) * task.batch_s - time.monotonic()))
        new_ticks = ticks(batch * task.ticks, task.ticks)
        new_candles = candles(batch * task.candles, task.candles)
        before = time.monotonic()
        buffer.append("ticks", new_ticks)
        buffer.append("candles", new_candles)
        append_ms += (time.monotonic() - before) * 1000
        if number % task.per_flush and batch + 1 < task.batches:
            continue
        flushed = buffer.flush(watermarks={"tick": (batch + 1) * task.ticks - 1, "bar": (batch + 1) * task.candles - 1})
        before, published = published, time.monotonic()
        say(
            batches=batch + 1,
            flush_ms=flushed.took_ms,
            append_ms=append_ms,
            gap_ms=(published - before) * 1000,
            segments=flushed.segments,
            merge_error=flushed.merge_error,
        )
        append_ms = 0.0
        if task.settle_merges:
            buffer.finish_merges()


def positions(buffer: LiveBuffer) -> tuple[int, int]:
    return buffer.watermarks("ticks").get("tick", -1) + 1, buffer.watermarks("candles").get("bar", -1) + 1


def say(**values: object) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=Task))
