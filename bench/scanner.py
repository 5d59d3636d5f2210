"""The scanner: a whole minute of strategies and scans through its own path, beside the strategy host alone."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import numpy as np

from bench.table import Measure, percentile, print_measures
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
#: Every so many minutes the whole market is scanned; all of them are decided.
SCAN_EVERY = 15
EARLY, LATE = slice(60, 150), slice(285, 375)


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
        configs = [ScanConfig(name, name, "1m", "{}") for name in scans]
        self.scans = Scans(configs, "nse", _past, picks_max=50, index=symbols[0])

    def decide(self, bars: Sequence[OHLCVBar], seq: int) -> tuple[float, Minute]:
        """Take a minute off the bus and decide it; give the seconds it took."""
        closed = MinuteClosed("nse", bars[0].timestamp_us, len(bars), seq=seq + len(bars) + 1)
        start = time.perf_counter()
        for bar in bars:
            self.runner.add(bar)
        self.runner.add(closed)
        minute = self.runner.take()
        assert minute is not None
        self.store.decide("nse", closed.timestamp_us, self.runner.run(minute))
        return time.perf_counter() - start, minute

    def scan(self, minute: Minute, *, now: bool) -> float:
        """Put a minute into the window, and scan it when it is time; give the seconds."""
        start = time.perf_counter()
        self.scans.add(minute)
        if now:
            self.store.found([work() for work in self.scans.due()])
        return time.perf_counter() - start


def instances(symbols: Sequence[str]) -> tuple[StrategyInstance, ...]:
    """All shipped strategies on all the symbols."""
    return tuple(StrategyInstance(strategy=name, symbols=tuple(symbols)) for name in registry.SHIPPED)


@contextmanager
def rigs(symbols: Sequence[str]) -> Iterator[tuple[Rig, Rig]]:
    """Give a scanner with scans and one without."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        yield tuple(Rig(Path(folder) / name, stack, symbols, scans) for name, scans in (("on", SCANS), ("off", ())))  # type: ignore[misc]


def measures(whole: int = MARKET, traded: int = TRADED) -> list[Measure]:
    """Run a day through both scanners and the host alone, minute by minute in turn."""
    symbols = [f"S{number:04d}" for number in range(traded)]
    day = list(minutes(market(symbols, seed=5, missing=0.0)))
    alone_host = StrategyHost(instances(symbols), sessions=Calendar.load("nse").session)
    on, off, alone, scanned, processor = [], [], [], [], []
    with rigs(symbols) as (with_scans, without):
        seq = 0
        for number, traded_bars in enumerate(day):
            bars = _whole_market(traded_bars, whole, seq)
            for rig, spent in ((with_scans, on), (without, off)) if number % 2 else ((without, off), (with_scans, on)):
                seconds, minute = rig.decide(bars, seq)
                spent.append(seconds)
                if rig is with_scans:
                    now = number % SCAN_EVERY == SCAN_EVERY - 1
                    used = time.process_time()
                    took = rig.scan(minute, now=now)
                    if now:
                        processor.append(time.process_time() - used)
                        scanned.append((number, seconds + took))
            start = time.perf_counter()
            alone_host.on_bars(bars)
            alone.append(time.perf_counter() - start)
            seq += len(bars) + 1
    # The first minute of a day makes the strategies; it is no minute like the others.
    what = f"{len(registry.SHIPPED)} strategies x {traded} symbols, {len(SCANS)} scans x {whole}"
    return [_whole(scanned, processor, what), *_told(on[1:], off[1:], alone[1:], scanned, whole)]


def _whole(scanned: list[tuple[int, float]], processor: list[float], what: str) -> Measure:
    work = [seconds for _, seconds in scanned]
    slowest, usual, used = percentile(work, 0.99), statistics.median(work), statistics.median(processor)
    other = f"median {usual:.2f} s, scans' processor {used:.2f} s"
    return Measure(f"scanner: a minute of {what}, p99", f"{slowest:.2f} s", other, None, "2 s", slowest <= 2.0)


def _told(
    on: list[float], off: list[float], alone: list[float], scanned: list[tuple[int, float]], whole: int
) -> list[Measure]:
    earlier, last = statistics.median(off[EARLY]), statistics.median(off[LATE])
    whole_earlier = statistics.median([seconds for number, seconds in scanned if EARLY.start <= number < EARLY.stop])
    whole_last = statistics.median([seconds for number, seconds in scanned if number >= LATE.start])
    p99_on, p99_off = percentile(on, 0.99), percentile(off, 0.99)
    ours, bare = statistics.median(off), statistics.median(alone)
    rows = [
        (f"strategies' minute out of {whole} bars", ours, "host alone", bare, "at most 2x the host alone", 2.0),
        ("strategies' p99, scans on", p99_on, "scans off", p99_off, "at most 1.1x off", 1.1),
        ("strategies' minute, last 90 of the day", last, "90 from 10:15", earlier, "at most 1.1x the earlier", 1.1),
        ("whole minute, last 90", whole_last, "90 from 10:15", whole_earlier, "at most 1.1x the earlier", 1.1),
    ]  # fmt: skip
    return [
        Measure(
            f"scanner: {what}", f"{seconds * 1e3:.1f} ms", f"{name} {other * 1e3:.1f} ms", other / seconds, goal,
            seconds <= limit * other,
        )
        for what, seconds, name, other, goal, limit in rows
    ]  # fmt: skip


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
