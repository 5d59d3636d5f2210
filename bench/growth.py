"""`python -m bench.growth`: how time and memory grow with bars, symbols, strategies, days, ticks and subscribers.

A curve is linear when a unit of work costs the same at its largest size as at its smallest; a quarter more is allowed.
Every size is run several times in turn with the others, for as long, and the least is taken: growth is wanted, not the
noise. What one process does is processor time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.backtest import measured, walk
from bench.bus import BATCH, reader, settings_in, ticks, wait_line
from bench.curves import Curve
from bench.ingest import flooded
from bench.query import generated
from bench.table import Measure, print_measures, timed
from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.messaging import Publisher
from libs.trading.strategy_host import StrategyHost, StrategyInstance
from services.backtest.form import EVENT, VECTORISED
from tests.kit.regimes import market

PROJECT = Path(__file__).resolve().parents[1]
ROUNDS = 3
LINEAR = 1.25
FLOOD_S = 8
SENT = 3000 * BATCH


def least(sizes: Sequence[int], work: Callable[[int], float]) -> list[float]:
    """The least of some rounds at each size, sizes in turn.

    A small size is run as often as the largest holds it: a short run finds a quiet moment more easily than a long one,
    and the least of each would then grow with the size on a busy machine.
    """

    def averaged(size: int) -> float:
        times = sizes[-1] // size
        return sum(work(size) for _ in range(times)) / times

    rounds = [[averaged(size) for size in sizes] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]


def traced(work: Callable[[], object]) -> float:
    """The most MiB that Python and numpy held while it ran."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 2**20


def backtest_bars() -> Iterator[Curve]:
    columns = walk("S00", 1200, 0)

    def run(form: str, days: int) -> float:
        return measured([columns.part(0, 375 * days)], form, time.process_time)[0]

    for form, name, days in ((VECTORISED, "passing over", 1200), (EVENT, "bar by bar", 160)):
        lengths = [days // 8, days // 4, days // 2, days]
        spent = least(lengths, lambda length, form=form: run(form, length))
        yield Curve(f"backtest, {name}", "bars of one symbol", "s", [375 * each for each in lengths], spent)
        memory = [traced(lambda length=length, form=form: run(form, length)) for length in lengths[1:]]
        yield Curve(f"backtest, {name}, memory", "bars of one symbol", "MiB", [375 * n for n in lengths[1:]], memory)


def backtest_symbols() -> Iterator[Curve]:
    columns = [walk(f"S{number:02d}", 10, number) for number in range(16)]
    sizes = [2, 4, 8, 16]

    def run(form: str, size: int) -> float:
        return measured(columns[:size], form, time.process_time)[0]

    for form, name in ((VECTORISED, "passing over"), (EVENT, "bar by bar")):
        spent = least(sizes, lambda size, form=form: run(form, size))
        yield Curve(f"backtest, {name}", "symbols of 3,750 bars", "s", sizes, spent)
        memory = [traced(lambda size=size, form=form: run(form, size)) for size in sizes[:3]]
        yield Curve(f"backtest, {name}, memory", "symbols of 3,750 bars", "MiB", sizes[:3], memory)


def strategies() -> Iterator[Curve]:
    bars = market(("ALFA",), days=10, seed=3)
    sizes = [1, 2, 4, 8, 16]

    def run(size: int) -> float:
        host = StrategyHost(
            StrategyInstance(strategy="sma_cross", name=f"s{number}", symbols=("ALFA",)) for number in range(size)
        )
        return timed(lambda: [host.on_bar(bar) for bar in bars], time.process_time)

    yield Curve("strategy host", "strategies on a bar", "s", sizes, least(sizes, run))
    memory = [traced(lambda size=size: run(size)) for size in sizes]
    yield Curve("strategy host, memory", "strategies on a bar", "MiB", sizes, memory)


def query_days() -> Iterator[Curve]:
    sizes = [30, 60, 120]
    found = {days: [_child("read", generated(days, 100)) for _ in range(ROUNDS)] for days in sizes}
    for what, unit, place in (("one symbol's minutes, warm", "s", 0), ("the process that reads them", "MiB", 1)):
        yield Curve(what, "days of 100 symbols", unit, sizes, [min(run[place] for run in found[n]) for n in sizes])


def read(root: str) -> float:
    with MarketDataQuery(DatabaseManager(Path(root))) as query:
        query.get_candles("S0001", "nse", "1m", None, None)
        return timed(lambda: query.get_candles("S0002", "nse", "1m", None, None))


def ticks_a_second() -> Iterator[Curve]:
    sizes = [5_000, 10_000, 20_000, 40_000]
    found = [flooded(FLOOD_S, rate) for rate in sizes]
    for what, unit, values in (
        (f"ingestor's processor time for {FLOOD_S} s", "s", [each["cpu_s"] for each in found]),
        (f"ingestor, memory after {FLOOD_S} s", "MiB", [max(each["memory"]) for each in found]),
    ):
        yield Curve(what, "ticks a second", unit, sizes, values)


def subscribers() -> Iterator[Curve]:
    sizes = [1, 2, 4, 8]
    rounds = [[_child("publish", size) for size in sizes] for _ in range(ROUNDS)]
    for what, unit, place in (
        (f"publisher's processor time for {SENT:,} ticks", "s", 0), ("publisher, memory", "MiB", 1),
    ):  # fmt: skip
        values = [min(run[place] for run in column) for column in zip(*rounds, strict=True)]
        yield Curve(what, "subscribers", unit, sizes, values)


def publish(size: str) -> float:
    payloads = ticks(SENT)
    with (
        tempfile.TemporaryDirectory(prefix="bus") as root,
        Publisher.open("ingestor", settings=settings_in(root)) as publisher,
        ExitStack() as stack,
    ):
        readers = [stack.enter_context(reader("ours", root, SENT, batched=True)) for _ in range(int(size))]
        for each in readers:
            wait_line(each, publisher.pump)
        spent = -time.process_time()
        for first in range(0, SENT, BATCH):
            publisher.publish_ticks("nse", payloads[first : first + BATCH])
            publisher.pump()
        for each in readers:
            wait_line(each, publisher.pump)
        return spent + time.process_time()


#: What is run in a process of its own, so that its memory is not this one's.
IN_A_CHILD: dict[str, Callable[[str], float]] = {"read": read, "publish": publish}


def _child(name: str, argument: object) -> tuple[float, float]:
    """Seconds that it measured, and its memory in MiB at the end."""
    command = [sys.executable, "-m", "bench.growth", name, str(argument)]
    done = subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.PIPE, text=True)
    seconds, mib = json.loads(done.stdout)
    return seconds, mib


def _most_mib() -> float:
    """The most memory of this process; what `getrusage` says is the bench's, which it was forked from."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


CURVES = (backtest_bars, backtest_symbols, strategies, query_days, ticks_a_second, subscribers)


def measures() -> Iterable[Measure]:
    """A line a curve: its values, and what a unit costs at the end beside the beginning."""
    for curve in (curve for make in CURVES for curve in make()):
        values = ", ".join(f"{size:,}: {value:.3g}" for size, value in zip(curve.sizes, curve.values, strict=True))
        yield Measure(
            f"{curve.what} by {curve.against}", f"{values} {curve.unit}", "a unit, last | first", curve.growth,
            f"at most {LINEAR}x", curve.growth <= LINEAR, curve,
        )  # fmt: skip


def main() -> int:
    if len(sys.argv) == 3:
        print(json.dumps([IN_A_CHILD[sys.argv[1]](sys.argv[2]), _most_mib()]))
        return 0
    return 0 if print_measures(measures()) else 1


if __name__ == "__main__":
    sys.exit(main())
