"""`python -m bench.rollover [million ticks]`: a day from the live buffer into history beside DuckDB's bare copy of it.

A tenth as many candles as ticks. Bare is `COPY FROM DATABASE` of the two live files into new ones: no sorting, no
key, no sync, nothing verified. Ours sorts, proves every row in place by its hash, certifies, and makes the buffer anew.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa

from bench.table import Measure, print_measures, timed
from libs.core.clock import US_PER_MINUTE, SystemClock, day_start_us
from libs.dbaccess import DatabaseManager, EODRollover, Role
from libs.dbaccess.init import init_all
from libs.dbaccess.layout import Layout
from libs.settings import load_settings

DAY = date(2026, 2, 2)
OPENED = day_start_us(DAY) + 555 * US_PER_MINUTE
SESSION_US = 375 * US_PER_MINUTE
SYMBOLS, BATCH = 2000, 500_000


def measures(millions: int = 10, rounds: int = 3) -> Iterator[Measure]:
    ticks, candles = millions * 1_000_000, millions * 100_000
    with tempfile.TemporaryDirectory(prefix="bench-rollover-") as folder:
        spent = [_round(Path(folder) / f"data{n}", ticks, candles) for n in range(rounds)]
    bare_s, ours_s = (median(column) for column in zip(*spent, strict=True))
    rows = ticks + candles
    yield Measure(
        f"{ticks / 1e6:g} M ticks, {candles / 1e6:g} M candles rolled over and verified",
        f"{rows / ours_s / 1e6:.2f} M rows/s", f"bare copy {rows / bare_s / 1e6:.2f} M rows/s",
        bare_s / ours_s, "0.5 of bare", bare_s / ours_s >= 0.5,
    )  # fmt: skip


def _round(root: Path, ticks: int, candles: int) -> tuple[float, float]:
    """Capture the day anew; the seconds of the bare copy and of ours."""
    settings = load_settings(environment={"TRADEFLEET_DATA": str(root)})
    init_all(Layout(root), settings=settings, clock=SystemClock())
    db = DatabaseManager(root, Role.INGESTOR, settings=settings)
    with db.live_buffer_writer() as buffer:
        for name, batches in (("ticks", _ticks(ticks)), ("candles", _candles(candles))):
            for batch in batches:
                buffer.append(name, batch)
                buffer.flush()
    bare_s = timed(lambda: _bare(db.layout, root / "bare.duckdb"))
    rolled = []
    ours_s = timed(lambda: rolled.append(EODRollover(db).roll(DAY)))
    if sum(each.rows for each in rolled[0].series) != ticks + candles or rolled[0].rows_kept:
        raise AssertionError(f"{ticks + candles} rows captured, rolled over: {rolled[0]}")
    shutil.rmtree(root)
    return bare_s, ours_s


def _bare(layout: Layout, target: Path) -> None:
    with duckdb.connect() as connection:
        for number, path in enumerate(layout.live_files()):
            connection.execute(f"ATTACH '{path}' AS live{number} (READ_ONLY)")
            connection.execute(f"ATTACH '{target.with_suffix(f'.{number}')}' AS bare{number}")
            connection.execute(f"COPY FROM DATABASE live{number} TO bare{number}")
            connection.execute(f"DETACH bare{number}")


def _ticks(rows: int) -> Iterator[pa.Table]:
    rng = np.random.default_rng(7)
    names = pa.array([f"S{number:04d}" for number in range(SYMBOLS)])
    for first in range(0, rows, BATCH):
        count = min(BATCH, rows - first)
        seq = np.arange(first + 1, first + 1 + count)
        price = np.round((100 + rng.normal(0, 1, count)) * 20) / 20
        yield pa.table(
            {
                "symbol": names.take(pa.array(rng.integers(0, SYMBOLS, count))),
                "timestamp": pa.array(OPENED + (seq - 1) * SESSION_US // rows, pa.timestamp("us", "UTC")),
                "price": price, "volume": rng.integers(0, 500, count), "bid": price - 0.05, "ask": price + 0.05,
                "volume_day": seq * 10, "seq": seq,
            }
        )  # fmt: skip


def _candles(rows: int) -> Iterator[pa.Table]:
    """Whole minutes of so many symbols that the rows are as many as asked for, in the order they were closed."""
    symbols = -(-rows // 375)
    for first in range(0, rows, BATCH):
        number = np.arange(first, min(first + BATCH, rows))
        price = 100 + (number * 31 % 1000) / 20
        names = pa.array([f"S{each:04d}" for each in range(symbols)])
        yield pa.table(
            {
                "symbol": names.take(pa.array(number % symbols)),
                "timeframe": pa.array(["1m"] * len(number)),
                "timestamp": pa.array(OPENED + number // symbols * US_PER_MINUTE, pa.timestamp("us", "UTC")),
                "open": price, "high": price + 0.5, "low": price - 0.5, "close": price + 0.25,
                "volume": number * 13 % 10_000, "origin": pa.array(["live"] * len(number)),
            }
        )  # fmt: skip


def main() -> int:
    return 0 if print_measures(measures(int(sys.argv[1]) if len(sys.argv) > 1 else 10)) else 1


if __name__ == "__main__":
    sys.exit(main())
