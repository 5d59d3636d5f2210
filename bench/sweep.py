"""`python -m bench.sweep [days [fasts [slows [rounds]]]]`: a grid of SMA crosses, ours beside vectorbt's, profit first.

Process beside process, over one share's minutes; the goal is for ten fast and ten slow averages over 1250 days. Ours is
the command as a person types it: it reads the closed days, proves the form, and writes its file and its page. vectorbt
gets the columns ready-made and all pairs at once. Every pair's profit, ours and theirs, must be what numpy makes of
whole numbers before a time is shown. Beside the points alone stands a loop by numba that only adds up profit.

Two averages may be equal. Where they are, sliding sums of floats say so or miss it by their last bits, ours as
vectorbt's, each at other bars; the minutes compared here have no such bar (`docs/performance.md` counts what it costs).
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np

from bench.backtest import QUANTITY, ties, to_paise, walk
from bench.peers.__main__ import HERE, SYMBOL, environment, options_of, timed_process, write_columns, write_days
from bench.table import Measure, print_measures
from libs.core.clock import trading_date
from libs.indicators.columns import session_days
from libs.trading.columns import Columns
from services.backtest.sweep.results import SweepResults

Pair = tuple[int, int]
GOAL, KERNEL_GOAL = 10.0, 1 / 3


def pairs_of(fasts: int, slows: int) -> list[Pair]:
    """Give so many fast and slow averages, every fast one below every slow one."""
    return list(product(range(3, 3 + 2 * fasts, 2), range(25, 25 + 5 * slows, 5)))


def minutes_without_ties(days: int, pairs: list[Pair]) -> Columns:
    """A walk on which no pair of averages is ever equal: there last bits would decide. Closes are moved until so."""
    columns = walk(SYMBOL, days, 0)
    units = np.rint(columns.close * 10_000).astype(np.int64)
    while len(tied := np.unique(np.concatenate([ties(units, *pair) for pair in pairs]))):
        units[tied] += 1
    close = units / 10_000
    high, low = np.maximum(columns.open, close), np.minimum(columns.open, close)
    return Columns(SYMBOL, columns.timestamps, columns.open, high, low, close, columns.volume)


def by_whole_numbers(columns: Columns, pairs: list[Pair]) -> dict[Pair, int]:
    """Profit by pair in paise: sums of prices in ten-thousandths have no last bit to lose; an equal pair is no side."""
    close, opens = (np.rint(column * 10_000).astype(np.int64) for column in (columns.close, columns.open))
    total = np.concatenate([[0], np.cumsum(close)])
    last_of_day = np.append(np.diff(session_days(columns.timestamps)) != 0, True)
    profits = {}
    for fast, slow in pairs:
        fast_sum, slow_sum = (total[length:] - total[:-length] for length in (fast, slow))
        side = np.sign(slow * fast_sum[slow - fast :] - fast * slow_sum)
        at = np.flatnonzero(side)
        crossed = at[1:][side[at[1:]] != side[at[:-1]]]
        held = wanted = spent = 0
        # The first bar with both averages only says on which side they are.
        for row, buys in zip((crossed + slow - 1).tolist(), (side[crossed] > 0).tolist(), strict=True):
            if row <= slow or buys == bool(wanted):
                continue
            wanted = int(buys)
            if not last_of_day[row] and held != wanted:
                spent += (wanted - held) * opens.item(row + 1) * QUANTITY
                held = wanted
        profits[fast, slow] = to_paise(held * close.item(-1) * QUANTITY - spent)
    return profits


def by_us(root: Path, columns: Columns, pairs: list[Pair]) -> tuple[dict[Pair, int], set[str], float, list[float]]:
    """Profit by pair, the forms used, seconds, and seconds of each point."""
    out = root / "sweep.jsonl"
    out.unlink(missing_ok=True)
    first, last = (trading_date(columns.timestamps.item(row)).isoformat() for row in (0, -1))
    axes = [",".join(map(str, dict.fromkeys(values))) for values in zip(*pairs, strict=True)]
    grid = ["--grid", f"fast={axes[0]}", "--grid", f"slow={axes[1]}"]
    command = [sys.executable, "-m", "cli", "backtest", "sweep", *options_of(first, last), *grid, "--out", out]
    _, seconds, _ = timed_process([*command, "--quiet", "--json"], TRADEFLEET_DATA=str(root))
    results = SweepResults.read(out).all
    profits = {
        (each.parameters["fast"], each.parameters["slow"]): int(each.figures["profit_paise"] or 0) for each in results
    }
    return profits, {each.form for each in results}, seconds, [each.seconds for each in results]


def by_vectorbt(columns: Path, pairs: list[Pair]) -> tuple[dict[Pair, int], float]:
    """Profit by pair, and seconds."""
    script = [environment(), HERE / "sweep_by_vectorbt.py", columns, str(QUANTITY), json.dumps(pairs)]
    printed, seconds, _ = timed_process(script)
    found = json.loads(printed.strip().splitlines()[-1])
    return {(fast, slow): to_paise(units) for fast, slow, units in found}, seconds


def by_numba(columns: Path, pairs: list[Pair]) -> tuple[dict[Pair, int], float]:
    """Profit by pair, and seconds a pair of the loop alone."""
    printed, _, _ = timed_process(
        [environment(), HERE / "sweep_by_numba.py", columns, str(QUANTITY), json.dumps(pairs)]
    )
    found = json.loads(printed.strip().splitlines()[-1])
    profits = {(fast, slow): to_paise(units) for fast, slow, units in found["profits"]}
    return profits, float(found["seconds"]) / len(pairs)


def processor_seconds() -> float:
    """Give what all processes that were waited for have used."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measures(days: int = 1250, fasts: int = 10, slows: int = 10, rounds: int = 1) -> Iterable[Measure]:
    """A line for the processes, one for their processor time, and one for the points alone; medians of the rounds.

    Each process is run once more right before it is timed: a machine may forget files that nobody read for seconds, and
    its disk would be timed then, which is more of the shorter of two times.
    """
    pairs = pairs_of(fasts, slows)
    columns = minutes_without_ties(days, pairs)
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as folder:
        root, ready = Path(folder) / "data", Path(folder) / "columns.npz"
        write_days(root, columns)
        write_columns(ready, columns)
        spent: list[tuple[float, float, float, float]] = []
        for _ in range(rounds):
            by_vectorbt(ready, pairs)  # it compiles, too, the first time
            before = processor_seconds()
            theirs, their_seconds = by_vectorbt(ready, pairs)
            their_used = processor_seconds() - before
            by_us(root, columns, pairs)
            before = processor_seconds()
            ours, forms, our_seconds, each_seconds = by_us(root, columns, pairs)
            spent.append((their_seconds, our_seconds, their_used, processor_seconds() - before))
        bare, bare_seconds = by_numba(ready, pairs)
    grid = f"{len(ours)} pairs x {len(columns):,} bars"
    expected = by_whole_numbers(columns, pairs)
    for name, profits in (("ours", ours), ("vectorbt", theirs), ("numba", bare)):
        if profits != expected:
            differing = [pair for pair in pairs if profits.get(pair) != expected[pair]]
            text = f"sweep of {grid} | {name}: {len(differing)} pairs are not numpy's, first {differing[0]}"
            yield Measure(text, "", "", None, "equal", False)
            return
    their_seconds, our_seconds, their_used, our_used = map(median, zip(*spent, strict=True))
    ratio, point = their_seconds / our_seconds, median(each_seconds)
    yield Measure(
        f"sweep of {grid}, all equal, whole process, {', '.join(sorted(forms))} | vectorbt", f"{our_seconds:.1f} s",
        f"{their_seconds:.1f} s", ratio, f"at least {GOAL:g}x", ratio >= GOAL,
    )  # fmt: skip
    yield Measure(
        "the same, processor time | vectorbt", f"{our_used:.1f} s", f"{their_used:.1f} s", their_used / our_used,
        "", None,
    )  # fmt: skip
    yield Measure(
        f"a point of it, every figure | numba's loop, profit alone, {len(columns):,} bars", f"{point * 1e3:.1f} ms",
        f"{bare_seconds * 1e3:.1f} ms", bare_seconds / point, f"at least {KERNEL_GOAL:.2f}x",
        bare_seconds / point >= KERNEL_GOAL,
    )  # fmt: skip


def main() -> int:
    return 0 if print_measures(measures(*map(int, sys.argv[1:]))) else 1


if __name__ == "__main__":
    sys.exit(main())
