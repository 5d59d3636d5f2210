"""`python -m bench.stores [days symbols]`: writing a day and looking things up (B9), through the public door.

Alone it looks for 1,000 candles in B9's 100 M, days times symbols; they are made once, as `bench.query` makes them.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from bench.query import newest_candles
from bench.table import Measure, interleaved, percentile, print_measures, timed
from libs.core.clock import SystemClock, day_start_us
from libs.dbaccess import DatabaseManager, Role, Store, schema
from libs.dbaccess.init import init_all
from libs.settings import load_settings

DAY = date(2026, 2, 2)
ROWS, BATCH, SYMBOLS = 3_000_000, 100_000, 2000
POSITIONS, PATTERNS, LOGGED = 10_000, 1_000_000, 100_000
LOOKUPS = 500


def measures(days: int = 250, symbols: int = 500) -> Iterator[Measure]:
    """Bulk insert of a day of ticks, then the lookups of B9: at B9's sizes, but for the candles asked for."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        init_all(DatabaseManager(root).layout, settings=load_settings(environment={}), clock=SystemClock())
        yield _bulk_insert(root)
        yield from _lookups(root)
    yield newest_candles(days, symbols)


def _bulk_insert(root: Path) -> Measure:
    batches = list(_batches())
    bare_file = root / "bare.duckdb"

    def bare() -> None:
        bare_file.unlink(missing_ok=True)
        connection = duckdb.connect(str(bare_file))
        connection.execute(schema.day_ddl("ticks"))
        for batch in batches:
            connection.register("batch", batch)
            connection.execute("INSERT INTO ticks BY NAME SELECT * FROM batch")
            connection.unregister("batch")
        connection.execute("CHECKPOINT")
        connection.close()

    def ours() -> None:
        shutil.rmtree(root / "market_data" / "nse" / "ticks")
        with DatabaseManager(root, Role.INGESTOR).historical_writer("nse", "ticks", None, DAY) as writer:
            for batch in batches:
                writer.append(batch)

    bare_s, ours_s = interleaved(bare, ours)
    rates = [f"{ROWS / seconds / 1e6:.2f} M rows/s" for seconds in (ours_s, bare_s)]
    ratio = bare_s / ours_s
    return Measure(
        "a day's ticks, checked, sorted, closed | bare insert", *rates, ratio, ">= 0.8 of bare", ratio >= 0.8
    )


def _batches() -> Iterator[pa.Table]:
    rng = np.random.default_rng(1)
    names = pa.array([f"SYM{number:04d}" for number in range(SYMBOLS)])
    start = day_start_us(DAY) + 9 * 3_600_000_000
    for first in range(0, ROWS, BATCH):
        seq = np.arange(first, first + BATCH)
        price = np.round(100 + rng.normal(0, 1, BATCH), 2)
        yield pa.table(
            {
                "symbol": names.take(pa.array(rng.integers(0, SYMBOLS, BATCH))),
                "timestamp": pa.array(start + seq * 7000, pa.timestamp("us", "UTC")),
                "price": price, "volume": rng.integers(1, 1000, BATCH), "bid": price - 0.05, "ask": price + 0.05,
                "volume_day": seq, "seq": seq,
            }
        )  # fmt: skip


def _lookups(root: Path) -> Iterator[Measure]:
    with DatabaseManager(root, Role.EXECUTION_ENGINE).trading_writer() as connection:
        connection.executemany(
            "INSERT INTO positions (strategy_id, exchange, symbol, product, quantity, price_average, updated_at_us) "
            "VALUES (?, 'nse', ?, 'intraday', 1, 100.0, 1)",
            ((f"s{number % 5}", f"SYM{number // 5:04d}") for number in range(POSITIONS)),
        )
        connection.executemany(
            "INSERT INTO execution_log (recorded_at_us, strategy_id, symbol, action, broker, total_us) "
            "VALUES (?, 's1', 'TCS', 'place', 'paper', ?)",
            ((number * 1_000_000, number % 900) for number in range(LOGGED)),
        )
    with DatabaseManager(root, Role.SCANNER).signals_writer() as connection:
        connection.executemany(
            "INSERT INTO pattern_cache (exchange, symbol, timeframe, timestamp_us, pattern, direction, strength, "
            "created_at_us) VALUES ('nse', ?, '1m', ?, 'hammer', 'none', 0, 1)",
            ((f"SYM{number % 2000:04d}", number // 2000 * 60_000_000) for number in range(PATTERNS)),
        )
    db = DatabaseManager(root)
    yield _lookup(
        "position of a symbol, 10,000 positions", db.trading_reader, root / "trading/trading.db", 1.0,
        "SELECT * FROM positions WHERE exchange = 'nse' AND symbol = ?", lambda n: (f"SYM{n % 2000:04d}",),
    )  # fmt: skip
    yield _lookup(
        "pattern cache hit, 1 M patterns", db.signals_reader, db.layout.store(Store.SIGNALS), 5.0,
        "SELECT * FROM pattern_cache WHERE symbol = ? AND exchange = 'nse' AND timeframe = '1m' AND timestamp_us = ? "
        "AND pattern = 'hammer'", lambda n: (f"SYM{n % 2000:04d}", n % 500 * 60_000_000),
    )  # fmt: skip
    yield _lookup(
        "latency of the last hour, 100,000 logged", db.trading_reader, root / "trading/trading.db", 20.0,
        "SELECT count(*), avg(total_us), max(total_us) FROM execution_log WHERE recorded_at_us >= ?",
        lambda _: ((LOGGED - 3600) * 1_000_000,),
    )  # fmt: skip


def _lookup(
    what: str,
    reader: Callable[[], AbstractContextManager[sqlite3.Connection]],
    path: Path,
    goal_ms: float,
    sql: str,
    parameters: Callable[[int], tuple[object, ...]],
) -> Measure:
    bare = sqlite3.connect(path)
    with reader() as ours:
        answers = [each.execute(sql, parameters(7)).fetchall() for each in (ours, bare)]
        if answers[0] != answers[1] or not answers[0]:
            raise AssertionError(f"{what}: the two doors answer differently, or nothing")
        times: list[list[float]] = [[], []]
        for number in range(LOOKUPS):
            for spent, connection in zip(times, (ours, bare), strict=True):
                spent.append(timed(lambda: connection.execute(sql, parameters(number)).fetchall()) * 1000)  # noqa: B023 - called at once
    bare.close()
    ours_ms, bare_ms = (percentile(spent, 0.99) for spent in times)
    return Measure(
        what,
        f"p99 {ours_ms:.3f} ms",
        f"p99 {bare_ms:.3f} ms",
        bare_ms / ours_ms,
        f"p99 < {goal_ms:g} ms",
        ours_ms < goal_ms,
    )


if __name__ == "__main__":
    days, symbols = map(int, sys.argv[1:3] or (267, 1000))
    raise SystemExit(0 if print_measures(measures(days, symbols)) else 1)
