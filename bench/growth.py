"""`python -m bench.growth`: how time and memory grow with bars, symbols, strategies, days, ticks and subscribers.

A curve is linear when a unit of work costs the same at its largest size as at its smallest; a quarter more is allowed.
Every size is run several times in turn with the others, and the least is taken: growth is wanted, not the noise.
"""

from __future__ import annotations

import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.backtest import measured, walk
from bench.bus import BATCH, reader, settings_in, ticks, wait_line
from bench.ingest import flooded
from bench.query import generated
from bench.table import Measure, print_measures, timed
from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.messaging import Publisher
from libs.trading.strategy_host import StrategyHost, StrategyInstance
from services.backtest.form import EVENT
from tests.kit.regimes import market

ROUNDS = 3
LINEAR = 1.25


@dataclass(frozen=True)
class Curve:
    """Seconds, or MiB, at each size."""

    what: str
    against: str
    unit: str
    sizes: Sequence[int]
    values: Sequence[float]

    @property
    def growth(self) -> float:
        """How much dearer a unit of work is at the largest size than at the smallest."""
        return (self.values[-1] / self.sizes[-1]) / (self.values[0] / self.sizes[0])


def least(sizes: Sequence[int], work: Callable[[int], float]) -> list[float]:
    """The least of some rounds at each size, sizes in turn."""
    rounds = [[work(size) for size in sizes] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]


def backtest_bars() -> Curve:
    columns = walk("S00", 240, 0)
    sizes = [375 * days for days in (30, 60, 120, 240)]
    values = least(sizes, lambda size: measured([columns.part(0, size)], EVENT)[0])
    return Curve("backtest, bar by bar", "bars of one symbol", "s", sizes, values)


def backtest_symbols() -> Curve:
    columns = [walk(f"S{number:02d}", 20, number) for number in range(16)]
    sizes = [2, 4, 8, 16]
    return Curve(
        "backtest, bar by bar", "symbols of 7,500 bars", "s", sizes,
        least(sizes, lambda size: measured(columns[:size], EVENT)[0]),
    )  # fmt: skip


def backtest_memory() -> Curve:
    columns = walk("S00", 240, 0)
    sizes = [375 * days for days in (60, 120, 240)]

    def peak(size: int) -> float:
        tracemalloc.start()
        measured([columns.part(0, size)], EVENT)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most / 2**20

    return Curve("backtest, memory", "bars of one symbol", "MiB", sizes, [peak(size) for size in sizes])


def strategies() -> Curve:
    bars = market(("ALFA",), days=10, seed=3)
    sizes = [1, 2, 4, 8, 16]

    def run(size: int) -> float:
        host = StrategyHost(
            StrategyInstance(strategy="sma_cross", name=f"s{number}", symbols=("ALFA",)) for number in range(size)
        )
        return timed(lambda: [host.on_bar(bar) for bar in bars])

    return Curve("strategy host", "strategies on a bar", "s", sizes, least(sizes, run))


def query_days() -> Curve:
    sizes = [30, 60, 120]
    roots = {days: generated(days, 100) for days in sizes}

    def read(days: int) -> float:
        with MarketDataQuery(DatabaseManager(roots[days])) as query:
            query.get_candles("S0001", "nse", "1m", None, None)
            return timed(lambda: query.get_candles("S0002", "nse", "1m", None, None))

    return Curve("one symbol's minutes, warm", "days of 100 symbols", "s", sizes, least(sizes, read))


def ticks_a_second() -> Curve:
    sizes = [5_000, 10_000, 20_000, 40_000]
    seconds = 8
    return Curve(
        f"ingestor's processor time for {seconds} s", "ticks a second", "s", sizes,
        [flooded(seconds, rate)["cpu_s"] for rate in sizes],
    )  # fmt: skip


def subscribers() -> Curve:
    sizes = [1, 2, 4, 8]
    count = 3000 * BATCH
    payloads = ticks(count)

    def run(size: int) -> float:
        with (
            tempfile.TemporaryDirectory(prefix="bus") as root,
            Publisher.open("ingestor", settings=settings_in(root)) as publisher,
            ExitStack() as stack,
        ):
            readers = [stack.enter_context(reader("ours", root, count, batched=True)) for _ in range(size)]
            for each in readers:
                wait_line(each, publisher.pump)
            spent = -time.process_time()
            for first in range(0, count, BATCH):
                publisher.publish_ticks("nse", payloads[first : first + BATCH])
                publisher.pump()
            for each in readers:
                wait_line(each, publisher.pump)
            return spent + time.process_time()

    return Curve(f"publisher's processor time for {count:,} ticks", "subscribers", "s", sizes, least(sizes, run))


CURVES = (
    backtest_bars, backtest_symbols, backtest_memory, strategies, query_days, ticks_a_second, subscribers,
)  # fmt: skip


def measures() -> Iterable[Measure]:
    """A line a curve: its values, and what a unit costs at the end beside the beginning."""
    for make in CURVES:
        curve = make()
        values = ", ".join(f"{size:,}: {value:.3g}" for size, value in zip(curve.sizes, curve.values, strict=True))
        yield Measure(
            f"{curve.what} by {curve.against}", f"{values} {curve.unit}", "a unit, last | first", curve.growth,
            f"at most {LINEAR}x", curve.growth <= LINEAR,
        )  # fmt: skip


def main() -> int:
    return 0 if print_measures(measures()) else 1


if __name__ == "__main__":
    sys.exit(main())
