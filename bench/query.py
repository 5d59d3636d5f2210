"""`python -m bench.query [days] [symbols]`: a year of candles through MarketDataQuery beside the bare parts; one table.

The history is generated once, through the historical writer, into bench/out/query-<days>x<symbols>. For B9's figure at
100 M candles: `python -m bench.query 267 1000`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from bench.table import Measure, interleaved, percentile, print_measures, timed
from libs.core.clock import US_PER_MINUTE, day_start_us
from libs.dbaccess import DatabaseManager, MarketDataQuery, Role
from libs.dbaccess.layout import Layout, closed_days

OUT = Path(__file__).resolve().parent / "out"
PROJECT = OUT.parents[1]
FIRST = date(2025, 1, 1)
BARS_A_DAY = 375
COLD = """
import sys
from libs.dbaccess import DatabaseManager, MarketDataQuery
with MarketDataQuery(DatabaseManager(sys.argv[1])) as query:
    assert len(query.get_candles("S0007", "nse", "1m", None, None)) == int(sys.argv[2])
"""


def generated(days: int, symbols: int) -> Path:
    """The data root, made unless it is there whole."""
    root = OUT / f"query-{days}x{symbols}"
    folder = Layout(root).series("nse", "candles", "1m")
    if len(closed_days(folder)) == days:
        return root
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    db = DatabaseManager(root, Role.INGESTOR)
    rng = np.random.default_rng(11)
    names = pa.array([f"S{n:04d}" for n in range(symbols)])
    of_symbol = np.repeat(np.arange(symbols, dtype=np.int32), BARS_A_DAY)
    weekdays = (FIRST + timedelta(days=n) for n in range(days * 2))
    for number, day in enumerate(day for day in weekdays if day.weekday() < 5):
        if number == days:
            break
        with db.historical_writer("nse", "candles", "1m", day) as writer:
            writer.append(candles(rng, day, names, of_symbol))
    return root


def candles(rng: np.random.Generator, day: date, names: pa.Array, of_symbol: np.ndarray) -> pa.Table:
    """A random walk of each symbol, rounded to the tick size."""
    symbols = len(names)
    minute = day_start_us(day) + (555 + np.arange(BARS_A_DAY)) * US_PER_MINUTE
    walk = np.cumsum(rng.normal(0, 1e-3, (symbols, BARS_A_DAY)), axis=1)
    close = np.round(100 * np.exp(walk) * 20) / 20
    opens = np.concatenate([close[:, :1], close[:, :-1]], axis=1)
    return pa.table(
        {
            "symbol": names.take(pa.array(of_symbol)),
            "timeframe": pa.array(["1m"] * len(of_symbol)),
            "timestamp": pa.array(np.tile(minute, symbols), pa.timestamp("us", "UTC")),
            "open": opens.ravel(),
            "high": (np.maximum(opens, close) + 0.05).ravel(),
            "low": (np.minimum(opens, close) - 0.05).ravel(),
            "close": close.ravel(),
            "volume": rng.integers(0, 10_000, len(of_symbol)),
        }
    )


def one_by_one(paths: list[Path], symbol: str) -> int:
    """What the query is measured against: each day opened, asked and closed."""
    rows = 0
    for path in paths:
        with duckdb.connect(str(path), read_only=True) as connection:
            rows += (
                connection.sql("SELECT * FROM candles WHERE symbol = $s", params={"s": symbol})
                .to_arrow_table()
                .num_rows
            )
    return rows


def measures(days: int, symbols: int) -> Iterator[Measure]:
    root = generated(days, symbols)
    paths = [path for _, path in closed_days(Layout(root).series("nse", "candles", "1m"))]
    rows = days * BARS_A_DAY
    cold = [sys.executable, "-c", COLD, str(root), str(rows)]
    cold_s, bare_s = interleaved(
        lambda: subprocess.run(cold, cwd=PROJECT, check=True), lambda: one_by_one(paths, "S0007")
    )
    with MarketDataQuery(DatabaseManager(root)) as query:
        query.get_candles("S0001", "nse", "1m", None, None)
        year = [timed(lambda n=n: query.get_candles(f"S{n * 7:04d}", "nse", "1m", None, None)) for n in range(15)]
        hours_s = timed(lambda: query.get_candles("S0003", "nse", "1h", None, None))
        fifty = [f"S{n:04d}" for n in range(50)]
        fifty_s = timed(lambda: query.get_candles_many(fifty, "nse", "1m", None, None, output="arrow"))
    warm_s = percentile(year, 0.5)
    size = f"{days} days x {symbols} symbols"
    yield Measure(f"{size}: one symbol, fresh process", f"{cold_s:.2f} s", f"one by one {bare_s:.2f} s",
                  bare_s / cold_s, "1.5 s", cold_s < 1.5)  # fmt: skip
    yield Measure("one symbol, warm, median", f"{warm_s * 1e3:.0f} ms", f"one by one {bare_s:.2f} s",
                  bare_s / warm_s, "0.3 s and 15x", warm_s < 0.3 and bare_s / warm_s >= 15)  # fmt: skip
    yield newest_candles(days, symbols)
    yield Measure("1h bars folded from a year of minutes, first time", f"{hours_s * 1e3:.0f} ms", "", None, "", None)
    yield Measure("50 symbols, a year", f"{50 * rows / fifty_s / 1e6:.1f} M rows/s", "", None, "", None)


def newest_candles(days: int, symbols: int) -> Measure:
    """B9's look for 1,000 candles, by a query that is warm."""
    with MarketDataQuery(DatabaseManager(generated(days, symbols))) as query:
        query.get_candles("S0001", "nse", "1m", None, None)
        few = [timed(lambda n=n: query.last_candles(f"S{n % symbols:04d}", "nse", "1m", 1000)) for n in range(300)]
    p50_s, p99_s = (percentile(few, share) for share in (0.5, 0.99))
    count = days * symbols * BARS_A_DAY
    return Measure(
        f"newest 1,000 of {count / 1e6:.0f} M candles, warm, p99", f"{p99_s * 1e3:.1f} ms",
        f"median {p50_s * 1e3:.1f} ms", None, "10 ms", p99_s < 0.01,
    )  # fmt: skip


def main() -> int:
    numbers = [int(word) for word in sys.argv[1:3]] or [250, 500]
    days, symbols = numbers if len(numbers) == 2 else (numbers[0], 500)
    return 0 if print_measures(measures(days, symbols)) else 1


if __name__ == "__main__":
    sys.exit(main())
