"""`python -m bench.sweep [days [fasts [slows]]]`: a grid of SMA crosses, ours beside vectorbt's, profit first.

Process beside process, over one share's minutes; the goal is for ten fast and ten slow averages over 1250 days. Ours is
the command as a person types it: it reads the closed days, proves the form, and writes its file and its page. vectorbt
gets the columns ready-made and all pairs at once. Every pair's profit must be equal before a time is shown. Beside the
points alone stands a loop by numba that only adds up profit.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np

from bench.backtest import QUANTITY, ties, walk
from bench.peers.__main__ import HERE, SYMBOL, environment, options_of, timed_process, write_columns, write_days
from bench.table import Measure, print_measures
from libs.core.clock import trading_date
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
    return {(fast, slow): paise for fast, slow, paise in found}, seconds


def by_numba(columns: Path, pairs: list[Pair]) -> tuple[dict[Pair, int], float]:
    """Profit by pair, and seconds a pair of the loop alone."""
    printed, _, _ = timed_process(
        [environment(), HERE / "sweep_by_numba.py", columns, str(QUANTITY), json.dumps(pairs)]
    )
    found = json.loads(printed.strip().splitlines()[-1])
    return {(fast, slow): paise for fast, slow, paise in found["profits"]}, float(found["seconds"]) / len(pairs)


def measures(days: int = 1250, fasts: int = 10, slows: int = 10) -> Iterable[Measure]:
    """A line for the processes, and one for the points alone."""
    pairs = pairs_of(fasts, slows)
    columns = minutes_without_ties(days, pairs)
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as folder:
        root, ready = Path(folder) / "data", Path(folder) / "columns.npz"
        write_days(root, columns)
        write_columns(ready, columns)
        by_vectorbt(ready, pairs)  # what it compiles is kept, once an installation
        theirs, their_seconds = by_vectorbt(ready, pairs)
        bare, bare_seconds = by_numba(ready, pairs)
        ours, forms, our_seconds, each_seconds = by_us(root, columns, pairs)
    grid = f"{len(ours)} pairs x {len(columns):,} bars"
    for name, profits in (("vectorbt", theirs), ("numba", bare)):
        if ours != profits:
            differing = [pair for pair in profits if ours.get(pair) != profits[pair]]
            text = f"sweep of {grid} | {name}: {len(differing)} pairs differ, first {differing[0]}"
            yield Measure(text, "", "", None, "equal", False)
            return
    ratio, point = their_seconds / our_seconds, median(each_seconds)
    yield Measure(
        f"sweep of {grid}, whole process, {', '.join(sorted(forms))} | vectorbt", f"{our_seconds:.1f} s",
        f"{their_seconds:.1f} s", ratio, f"at least {GOAL:g}x", ratio >= GOAL,
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
