"""`python -m bench.live [millions of rows]…`: the live buffer as the day grows, beside bare DuckDB and bare Parquet.

The day grows in big flushes; at each size flushes of 5,000 ticks and reads of one symbol are timed.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.table import Measure, interleaved, percentile, print_measures, timed
from libs.core.clock import SystemClock
from libs.dbaccess.layout import Layout
from libs.dbaccess.live import LiveBuffer, live_buffer_reader, open_live_buffer, pin_snapshot
from libs.dbaccess.schema import live_ddl
from libs.settings.storage import Live

SYMBOLS = 2000
FLUSH_ROWS = 5000
FLUSHES = 60
GROWTH_ROWS = 500_000
OPEN_US = 1_770_003_900_000_000
QUERY = "SELECT count(*), sum(volume) FROM ticks WHERE symbol = 'S0042'"


def batch(first_seq: int, rows: int) -> pa.Table:
    rng = np.random.default_rng(first_seq)
    price = np.round(100 + rng.normal(0, 1, rows), 2)
    return pa.table(
        {
            "symbol": pa.array(NAMES).take(pa.array(rng.integers(0, SYMBOLS, rows))),
            "timestamp": pa.array(OPEN_US + np.arange(first_seq, first_seq + rows) * 200, pa.timestamp("us", tz="UTC")),
            "price": price, "volume": rng.integers(0, 500, rows), "bid": price - 0.05, "ask": price + 0.05,
            "volume_day": rng.integers(0, 1_000_000, rows), "seq": np.arange(first_seq, first_seq + rows),
        }
    )  # fmt: skip


NAMES = [f"S{n:04d}" for n in range(SYMBOLS)]


def grow(buffer: LiveBuffer, rows: int) -> int:
    """Fill the day up to so many ticks; give the next seq."""
    (held,) = buffer["ticks"].execute("SELECT count(*) FROM ticks").fetchall()[0]
    for first in range(held, rows, GROWTH_ROWS):
        buffer.append("ticks", batch(first, min(GROWTH_ROWS, rows - first)))
        buffer.flush()
    buffer.finish_merges()
    return max(held, rows)


def flushes(buffer: LiveBuffer, bare: duckdb.DuckDBPyConnection, folder: Path, seq: int, label: str) -> Measure:
    """A flush against what it cannot do without: one commit and one sorted Parquet file, in turn."""
    seqs = count(seq, FLUSH_ROWS)
    spent: list[float] = []

    def ours() -> None:
        buffer.append("ticks", batch(next(seqs), FLUSH_ROWS))
        spent.append(timed(buffer.flush) * 1000)

    def other() -> None:
        rows = batch(0, FLUSH_ROWS)
        bare.execute("BEGIN")
        bare.register("rows", rows)
        bare.execute("INSERT INTO ticks BY NAME SELECT * FROM rows")
        bare.unregister("rows")
        bare.execute("COMMIT")
        pq.write_table(rows.sort_by([("symbol", "ascending"), ("timestamp", "ascending")]), folder / "bare.parquet",
                       compression="zstd")  # fmt: skip

    ours_s, other_s = interleaved(ours, other, rounds=FLUSHES)
    return Measure(
        f"append and flush 5,000 ticks, {label}",
        f"{ours_s * 1000:.1f} ms (flush p50 {percentile(spent, 0.5):.1f} max {max(spent):.0f})",
        f"{other_s * 1000:.1f} ms bare", other_s / ours_s, "0.4x of bare, max below 1000 ms",
        other_s / ours_s >= 0.4 and max(spent) < 1000,
    )  # fmt: skip


def reads(layout: Layout, settings: Live, label: str) -> Measure:
    """Pin, open and ask for one symbol, against bare DuckDB over the same files."""

    def ours() -> None:
        with live_buffer_reader(layout, settings) as conns:
            conns["ticks"].execute(QUERY).fetchall()

    with pin_snapshot(layout, settings) as snapshot:
        files = [str(path) for path in snapshot.files("ticks")]

        def other() -> None:
            with duckdb.connect() as connection:
                connection.execute(QUERY.replace("FROM ticks", f"FROM read_parquet({files})")).fetchall()

        ours_s, other_s = interleaved(ours, other, rounds=7)
    return Measure(
        f"pin, open, one symbol, {label}, {len(files)} files",
        f"{ours_s * 1000:.0f} ms", f"{other_s * 1000:.0f} ms bare",
        other_s / ours_s, "0.5x of bare", other_s / ours_s >= 0.5,
    )  # fmt: skip


def measures(millions: list[int]) -> Iterator[Measure]:
    # Flush segments stay apart while they are timed, and are merged by the growth that follows.
    settings = Live(merge_minute_segments_min=FLUSHES + 2, merge_hour_segments_min=8)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layout = Layout(folder / "data")
        layout.root.mkdir()
        with (
            open_live_buffer(layout, settings, SystemClock(), exchange="nse", ddl=live_ddl()) as buffer,
            duckdb.connect(folder / "bare.duckdb") as bare,
        ):
            for statement in live_ddl()["ticks"]:
                bare.execute(statement)
            gc.freeze()
            for size in millions:
                seq = grow(buffer, size * 1_000_000)
                yield flushes(buffer, bare, folder, seq, f"day of {size} M")
                yield reads(layout, settings, f"day of {size} M")


if __name__ == "__main__":
    sys.exit(0 if print_measures(measures([int(size) for size in sys.argv[1:]] or [1, 5, 20])) else 1)
