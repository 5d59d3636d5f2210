"""`python -m bench.journal`: ticks into the journal and out again, beside bare writes of the same bytes.

Appending is measured in processor time: the figure is one core's, whoever else uses the machine.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from bench.table import Measure, print_measures, timed
from libs.contracts import Tick
from libs.dbaccess.journal import Journal, Kind

COUNT = 200_000
BATCH = 20
ROUNDS = 3
MOMENT = 1_770_003_900_000_000
TOPICS = [f"tick.nse.S{n:04d}|" for n in range(500)]


def ticks() -> list[Tick]:
    return [
        Tick(f"S{n % 500:04d}", MOMENT + n, 100.0 + n % 7, 3, 99.95, 100.05, 1000 + n, received_us=MOMENT + n)
        for n in range(COUNT)
    ]


def write(journal: Journal, rows: list[Tick], batch: int) -> None:
    """What the ingestor does: the seq goes into the tick, a frame of ticks into one write."""
    encode = msgspec.msgpack.Encoder().encode
    for start in range(0, len(rows), batch):
        for n in range(start, min(start + batch, len(rows))):
            journal.add(Kind.TICK, "ticks", TOPICS[n % 500], encode(rows[n]))
        journal.commit()


def bare(path: Path, size: int, count: int) -> None:
    """The same bytes in as many writes, and nothing else."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    data = bytes(size)
    for _ in range(count):
        os.write(descriptor, data)
    os.close(descriptor)
    path.unlink()


def core_seconds(work: Callable[..., object], *arguments: object) -> float:
    """Processor seconds of the best of the rounds."""
    spent = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work(*arguments)
        spent.append(time.process_time() - start)
    return min(spent)


def measures() -> Iterator[Measure]:
    rows = ticks()
    with tempfile.TemporaryDirectory() as folder:
        for batch, goal in ((BATCH, 200_000), (1, 0)):
            journal = Journal.open(Path(folder) / f"by{batch}", ("ticks", "candles"))
            size = batch * (len(msgspec.msgpack.encode(rows[0])) + 45)
            seconds = core_seconds(write, journal, rows, batch)
            bare_s = core_seconds(bare, Path(folder) / "bare", size, COUNT // batch)
            rate = COUNT / seconds
            yield Measure(
                f"append, {batch} ticks a write", f"{rate / 1000:,.0f} k/s", f"bare {COUNT / bare_s / 1000:,.0f} k/s",
                bare_s / seconds, f"{goal // 1000} k/s" if goal else "", rate >= goal if goal else None,
            )  # fmt: skip
        journal = Journal.open(Path(folder) / f"by{BATCH}", ("ticks", "candles"))
        total = journal.head("ticks")
        read_s = timed(lambda: sum(1 for _ in journal.read("ticks", 0)))
        yield Measure("replay all", f"{total / read_s / 1000:,.0f} k/s", "", None, "", None)
        near_s = timed(lambda: sum(1 for _ in journal.read("ticks", total - 1000)))
        yield Measure("replay the last 1,000", f"{near_s * 1000:.1f} ms", "", None, "", None)
        journal.close()
        open_s = timed(lambda: Journal.open(Path(folder) / f"by{BATCH}", ("ticks", "candles")))
        yield Measure(f"open and check {total:,} records", f"{open_s * 1000:,.0f} ms", "", None, "", None)


if __name__ == "__main__":
    sys.exit(0 if print_measures(measures()) else 1)
