"""The scanner: a whole minute of strategies and scans through its own path, beside the strategy host alone."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from bench.table import Measure, percentile, print_measures, timed
from libs.calendar import Calendar
from libs.contracts import MinuteClosed, OHLCVBar
from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.roles import Store
from libs.strategies import registry
from libs.trading.strategy_host import StrategyHost, StrategyInstance
from services.scanner.day import Runner
from services.scanner.minutes import Minute
from services.scanner.scan_configs import ScanConfig
from services.scanner.scanning import Scans
from services.scanner.store import SignalsStore
from services.scanner.suspensions import Suspensions
from tests.kit.regimes import market, minutes
from tests.kit.roots import make_stores, settings

SCANS = (
    "gainers", "losers", "gap", "volume_surge", "vwap_distance", "relative_strength", "breakout", "extremes_52w",
    "rsi_extremes", "squeeze",
)  # fmt: skip
MARKET, TRADED = 2000, 50
EARLY, LATE = slice(60, 150), slice(285, 375)


class Spent(NamedTuple):
    """Seconds of one minute, a figure each way it was measured."""

    signals: int
    on: float
    off: float
    alone: float
    amid: float
    whole: float
    processor: float


class Rig:
    """One scanner on a store of its own; no bus, for the bars are here already."""

    def __init__(self, root: Path, stack: ExitStack, symbols: Sequence[str], scans: Sequence[str]) -> None:
        root.mkdir(mode=0o700)
        make_stores(root)
        found, clock = settings(TRADEFLEET_DATA=str(root)), SystemClock()
        manager = DatabaseManager(root, Role.SCANNER, settings=found, clock=clock)
        session = stack.enter_context(manager.writer_session(Store.SIGNALS))
        self.store = SignalsStore(session, clock)
        self.runner = Runner(
            manager, found, clock, instances(symbols), sessions=Calendar.load("nse").session,
            earlier=self.store.earlier, suspensions=Suspensions(session, clock, "nse"),
        )  # fmt: skip
        self.configs = [ScanConfig(name, name, "1m", "{}") for name in scans]
        self.scans = Scans(self.configs, "nse", _past, picks_max=50, index=symbols[0])

    def decide(self, bars: Sequence[OHLCVBar], seq: int) -> tuple[float, Minute, int]:
        """Take a minute off the bus and decide it; give the seconds it took, and how many signals it gave."""
        closed = MinuteClosed("nse", bars[0].timestamp_us, len(bars), seq=seq + len(bars) + 1)
        start = time.perf_counter()
        for bar in bars:
            self.runner.add(bar)
        self.runner.add(closed)
        minute = self.runner.take()
        assert minute is not None
        signals = self.runner.run(minute)
        self.store.decide("nse", closed.timestamp_us, signals)
        return time.perf_counter() - start, minute, len(signals)

    def scan(self, minute: Minute) -> None:
        """Put a minute into the window, scan it, keep what was found: a transaction each, as the service does."""
        self.scans.add(minute)
        for work in self.scans.due():
            self.store.found([work()])


def instances(symbols: Sequence[str]) -> tuple[StrategyInstance, ...]:
    """All shipped strategies on all the symbols."""
    return tuple(StrategyInstance(strategy=name, symbols=tuple(symbols)) for name in registry.SHIPPED)


@contextmanager
def rigs(symbols: Sequence[str]) -> Iterator[tuple[Rig, Rig, Rig]]:
    """Give a scanner with scans, one without, and one whose minutes come while it scans."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        kinds = (("on", SCANS), ("off", ()), ("amid", SCANS))
        yield tuple(Rig(Path(folder) / name, stack, symbols, scans) for name, scans in kinds)  # type: ignore[misc]


def measures(whole: int = MARKET, traded: int = TRADED) -> list[Measure]:
    """A day of the whole market, every minute of it scanned; strategies run on the first symbols."""
    names = [f"S{number:04d}" for number in range(traded)]
    alone = StrategyHost(instances(names), sessions=Calendar.load("nse").session)
    spent: list[Spent] = []
    with rigs(names) as (on, off, amid), ThreadPoolExecutor(1) as pool:
        begun = Scans(on.configs, "nse", _past, picks_max=50, index=names[0])
        seq, minute = 1, None
        for number, traded_bars in enumerate(minutes(market(names, days=1, seed=1, missing=0.0))):
            bars = _whole_market(traded_bars, whole, seq)
            if number % 2:
                seconds_on, minute, signals = on.decide(bars, seq)
                seconds_off, _, _ = off.decide(bars, seq)
            else:
                seconds_off, _, _ = off.decide(bars, seq)
                seconds_on, minute, signals = on.decide(bars, seq)
            used = time.process_time()
            scanning = timed(lambda minute=minute: on.scan(minute))
            used = time.process_time() - used
            seconds_amid = _amid(amid, bars, seq, pool, number)
            begun.add(minute)
            alone_seconds = timed(lambda bars=bars: alone.on_bars(bars))
            spent.append(
                Spent(signals, seconds_on, seconds_off, alone_seconds, seconds_amid, seconds_on + scanning, used)
            )
            seq += len(bars) + 1
        first = timed(lambda: [work() for work in begun.due()])
    what = f"{len(registry.SHIPPED)} strategies x {traded} symbols, {len(SCANS)} scans x {whole}"
    # The first minute of a day makes the strategies; it is no minute like the others.
    return [
        _whole(spent, what),
        Measure("scanner: first scans of a start at the close", f"{first:.2f} s", "", None, "2 s", first <= 2.0),
        *_told(spent[1:], whole),
    ]


def _amid(rig: Rig, bars: Sequence[OHLCVBar], seq: int, pool: ThreadPoolExecutor, number: int) -> float:
    """Seconds of a minute that comes while a scan of the minute before runs in its thread: another one each time."""
    works = rig.scans.due()
    for place, work in enumerate(works):
        if place != number % len(works):
            pool.submit(work).result()
    running = pool.submit(works[number % len(works)]) if works else None
    seconds, minute, _ = rig.decide(bars, seq)
    if running is not None:
        running.result()
    rig.scans.add(minute)
    return seconds


def _whole(spent: list[Spent], what: str) -> Measure:
    work = [each.whole for each in spent]
    slowest, usual = percentile(work, 0.99), statistics.median(work)
    used = statistics.median(each.processor for each in spent)
    other = f"median {usual * 1e3:.0f} ms, longest {max(work) * 1e3:.0f} ms, scans' processor {used * 1e3:.0f} ms"
    return Measure(f"scanner: a minute of {what}, p99", f"{slowest * 1e3:.0f} ms", other, None, "2 s", slowest <= 2.0)


def _told(spent: list[Spent], whole: int) -> list[Measure]:
    on, off, amid = ([getattr(each, name) for each in spent] for name in ("on", "off", "amid"))
    ours, bare = statistics.median(off), statistics.median(each.alone for each in spent)
    p99_on, p99_off, p99_amid = (percentile(each, 0.99) for each in (on, off, amid))
    rows = [
        (f"strategies' minute out of {whole} bars", ours, "host alone", bare, "at most 2x the host alone", 2.0),
        ("strategies' p99, scans on", p99_on, "scans off", p99_off, "at most 1.1x off", 1.1),
        ("the same, bars that come amid a scan", p99_amid, "scans off", p99_off, "", None),
        ("strategies' minute, last 90 of the day", *_late(spent, "off"), "at most 1.1x the earlier", 1.1),
        ("whole minute, last 90", *_late(spent, "whole"), "at most 1.1x the earlier", 1.1),
    ]  # fmt: skip
    return [
        Measure(
            f"scanner: {what}", f"{seconds * 1e3:.1f} ms", f"{name} {other * 1e3:.1f} ms", other / seconds, goal,
            seconds <= limit * other if limit else None,
        )
        for what, seconds, name, other, goal, limit in rows
    ]  # fmt: skip


def _late(spent: list[Spent], name: str) -> tuple[float, str, float]:
    """The late minutes, and those of 10:15 that gave as many signals: a market that moves more is no growth."""
    early = spent[EARLY]
    others = []
    for late in spent[LATE]:
        nearest = min(abs(each.signals - late.signals) for each in early)
        alike = [getattr(each, name) for each in early if abs(each.signals - late.signals) == nearest]
        others.append(statistics.median(alike))
    found = statistics.median(getattr(each, name) for each in spent[LATE])
    return found, "90 from 10:15 with as many signals", statistics.median(others)


def _whole_market(traded: Sequence[OHLCVBar], whole: int, seq: int) -> list[OHLCVBar]:
    """Stretch the traded symbols' bars over the market: the others move as they do, under names of their own."""
    names = [f"S{number:04d}" for number in range(whole)]
    return [
        msgspec.structs.replace(traded[number % len(traded)], symbol=name, seq=seq + number + 1)
        for number, name in enumerate(names)
    ]


def _past(symbols: Sequence[str], _: object) -> dict[str, np.ndarray]:
    """A year nobody has seen: what history costs is another bench's."""
    return {name: np.full(len(symbols), value) for name, value in (
        ("previous_close", 1000.0), ("year_high", 3000.0), ("year_low", 80.0)
    )}  # fmt: skip


def main(arguments: list[str]) -> int:
    """`python -m bench.scanner [SYMBOLS [TRADED]]`."""
    return 0 if print_measures(measures(*map(int, arguments))) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
