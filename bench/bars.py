"""`python -m bench.bars [ticks]`: ticks to bars, streaming and by DuckDB, and resampling; one table.

The same ticks go both ways, and the bars are compared.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from datetime import date

import numpy as np
import polars as pl

from bench.table import Measure, print_measures, timed
from libs.bars import BarAggregator, TickValidator
from libs.bars.vectorised import resample
from libs.calendar import Calendar
from libs.contracts import MinuteClosed, OHLCVBar, Tick
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE
from tests.kit.sql_bars import bars_by_sql

DAY = date(2026, 2, 2)
SYMBOLS = 500


def recorded(count: int) -> list[Tick]:
    """A seeded half hour in order of trade time."""
    session = Calendar.load("nse").session(DAY)
    rng = np.random.default_rng(7)
    at = np.sort(rng.integers(session.open_us, session.open_us + 30 * US_PER_MINUTE, count))
    symbol = rng.integers(0, SYMBOLS, count)
    price = np.round(100 + symbol + np.cumsum(rng.normal(0, 0.01, count)) % 5, 2)
    added = rng.integers(0, 100, count)
    names = [f"S{n:04d}" for n in range(SYMBOLS)]
    volume = [0] * SYMBOLS
    ticks = []
    for i in range(count):
        n = int(symbol[i])
        volume[n] += int(added[i])
        ticks.append(Tick(names[n], int(at[i]), float(price[i]), volume_day=volume[n], seq=i))
    return ticks


def measures(count: int = 500_000) -> Iterator[Measure]:
    session = Calendar.load("nse").session(DAY)
    ticks = recorded(count)
    gc.freeze()  # half a million ticks are no business of the collector while we measure
    checks = TickValidator(known=lambda _: True, day=DAY)
    validated_s = timed(lambda: [checks.check(tick, tick.timestamp_us) for tick in ticks])
    yield Measure("validate", per_second(count, validated_s, "ticks"), "", None, "", None)

    volumes: list[int] = []
    out: list[OHLCVBar | MinuteClosed] = []
    streamed_s = timed(lambda: stream(ticks, session, volumes, out))
    yield Measure(
        "ticks to 1m, 5m, 15m, 1d, streaming",
        per_second(count, streamed_s, "ticks"), "", None, "400 k/s", count / streamed_s >= 400_000,
    )  # fmt: skip

    frame = pl.DataFrame(
        {name: [getattr(tick, name) for tick in ticks] for name in ("symbol", "timestamp_us", "price")}
    )
    frame = frame.with_columns(volume=pl.Series(volumes), seq=pl.Series(range(count)))
    columns = bars_by_sql(frame, session)
    by_sql_s = timed(lambda: bars_by_sql(frame, session))
    yield Measure("ticks to 1m, DuckDB on both cores", per_second(count, by_sql_s, "ticks"), "", None, "", None)

    names = ("symbol", "timestamp_us", "open", "high", "low", "close", "volume")
    bars = [bar for bar in out if isinstance(bar, OHLCVBar) and bar.timeframe == "1m"]
    streamed = pl.DataFrame({name: [getattr(bar, name) for bar in bars] for name in names})
    same = columns.equals(streamed.sort("symbol", "timestamp_us"))
    yield Measure(f"{len(bars):,} 1m bars agree, streaming and DuckDB", str(same), "", None, "exactly", same)
    resampled_s = timed(lambda: resample(columns, "15m", lambda _: session))
    yield Measure("1m to 15m, vectorised", per_second(len(bars), resampled_s, "bars"), "", None, "", None)


def stream(ticks: list[Tick], session: Session, volumes: list[int], out: list[OHLCVBar | MinuteClosed]) -> None:
    """What the ingestor does with a tick, without its journal."""
    aggregator = BarAggregator(session, grace_us=0)
    aggregator.on_connect(session.pre_open_us - 1)
    for tick in ticks:
        volumes.append(aggregator.on_tick(tick)[1])
        if tick.timestamp_us >= aggregator.due_us:
            out += aggregator.advance(tick.timestamp_us)
    out += aggregator.advance(session.last_us)


def per_second(count: int, seconds: float, what: str) -> str:
    return f"{count / seconds / 1000:,.0f} k {what}/s"


def main() -> int:
    return 0 if print_measures(measures(*map(int, sys.argv[1:]))) else 1


if __name__ == "__main__":
    sys.exit(main())
