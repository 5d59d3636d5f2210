"""`python -m bench.archive [million ticks]`: one symbol's day from the archive beside the same day hot."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.table import Measure, interleaved, percentile, print_measures, timed
from libs.core.clock import day_start_us
from libs.dbaccess import DatabaseManager, MarketDataQuery, Role
from libs.dbaccess.archive import archive_days
from libs.dbaccess.layout import Layout
from tests.kit.clock import ManualClock

DAY = date(2026, 2, 2)
SYMBOLS = 2000
ROUNDS = 40


def measures(millions: int = 10) -> Iterator[Measure]:
    rows = millions * 1_000_000
    with tempfile.TemporaryDirectory(prefix="bench-archive-") as folder:
        hot, cold = (_root(Path(folder) / name, rows) for name in ("hot", "cold"))
        hot_bytes = Layout(cold).day("nse", "ticks", None, DAY).stat().st_size
        owner = DatabaseManager(cold, Role.INGESTOR, clock=ManualClock(day_start_us(date(2026, 8, 1))))
        spent = timed(lambda: archive_days(owner, report=lambda *_: None))
        size = sum(path.stat().st_size for path in cold.rglob("*.parquet"))
        yield Measure(
            f"{millions} M ticks archived and verified", f"{rows / spent / 1e6:.2f} M rows/s", "", None, "", None
        )
        yield Measure("bytes a tick", f"{size / rows:.1f}", f"hot {hot_bytes / rows:.1f}", None, "", None)
        with MarketDataQuery(DatabaseManager(hot)) as one, MarketDataQuery(DatabaseManager(cold)) as other:
            spent_hot, spent_cold = [], []
            for number in range(ROUNDS):
                symbol = f"S{number * 37 % SYMBOLS:04d}"
                spent_hot.append(timed(lambda s=symbol: _read(one, s)))
                spent_cold.append(timed(lambda s=symbol: _read(other, s)))
        warm_hot, warm_cold = (percentile(each[1:], 0.5) for each in (spent_hot, spent_cold))
        yield _measure("one symbol's day, warm, median", warm_cold, warm_hot)
        fresh_cold, fresh_hot = interleaved(lambda: _fresh(cold), lambda: _fresh(hot), rounds=7)
        yield _measure("one symbol's day, first question of a query", fresh_cold, fresh_hot)


def _measure(what: str, ours: float, hot: float) -> Measure:
    return Measure(
        what, f"{ours * 1e3:.1f} ms", f"hot {hot * 1e3:.1f} ms", hot / ours, "1/3 of hot", hot / ours >= 1 / 3
    )


def _read(query: MarketDataQuery, symbol: str) -> None:
    table = query.get_ticks(symbol, "nse", DAY, "2026-02-03", output="arrow")
    assert table.num_rows > 0


def _fresh(root: Path) -> None:
    with MarketDataQuery(DatabaseManager(root)) as query:
        _read(query, "S0777")


def _root(root: Path, rows: int) -> Path:
    root.mkdir(mode=0o700)
    rng = np.random.default_rng(7)
    opened = day_start_us(DAY) + 555 * 60_000_000
    with DatabaseManager(root, Role.INGESTOR).historical_writer("nse", "ticks", None, DAY) as writer:
        for first in range(0, rows, 1_000_000):
            count = min(1_000_000, rows - first)
            seq = np.arange(first, first + count)
            price = np.round((100 + rng.normal(0, 1, count).cumsum() * 0.01) * 20) / 20
            symbols = pa.array([f"S{number:04d}" for number in range(SYMBOLS)])
            writer.append(
                pa.table(
                    {
                        "symbol": symbols.take(pa.array(rng.integers(0, SYMBOLS, count))),
                        "timestamp": pa.array(opened + seq * 22_500_000_000 // rows, pa.timestamp("us", "UTC")),
                        "price": price,
                        "volume": rng.integers(0, 500, count),
                        "bid": price - 0.05,
                        "ask": price + 0.05,
                        "volume_day": seq * 10,
                        "seq": seq,
                    }
                )
            )
    return root


def main() -> int:
    return 0 if print_measures(measures(int(sys.argv[1]) if len(sys.argv) > 1 else 10)) else 1


if __name__ == "__main__":
    sys.exit(main())
