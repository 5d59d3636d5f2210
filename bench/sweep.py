"""`python -m bench.sweep [days]`: a grid of SMA crosses, ours beside vectorbt's, process beside process, profit first.

Both run the 20 pairs of four fast and five slow averages over one share's minutes, ours as a person types it: it reads
the closed days, starts its workers, and writes its file. vectorbt gets the columns ready-made and all pairs at once.
Every pair's profit must be equal before a time is shown.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench.backtest import QUANTITY, has_tie, walk
from bench.peers.__main__ import HERE, SYMBOL, environment, options_of, timed_process, write_columns, write_days
from bench.table import Measure, print_measures
from libs.core.clock import trading_date
from libs.trading.columns import Columns
from services.backtest.sweep.results import SweepResults

FAST, SLOW = (5, 8, 12, 15), (20, 30, 40, 50, 60)
GOAL = 10.0


def minutes_without_ties(days: int) -> Columns:
    """A walk on which no pair of averages is ever equal: there last bits would decide."""
    seed = 0
    while True:
        columns = walk(SYMBOL, days, seed)
        units = np.rint(columns.close * 10_000).astype(np.int64)
        if not any(has_tie(units, fast, slow) for fast in FAST for slow in SLOW):
            return columns
        seed += 1


def by_us(root: Path, columns: Columns) -> tuple[dict[tuple[int, int], int], set[str], float]:
    """Profit by pair, the forms used, and seconds."""
    out = root / "sweep.jsonl"
    out.unlink(missing_ok=True)
    first, last = (trading_date(columns.timestamps.item(row)).isoformat() for row in (0, -1))
    grid = ["--grid", "fast=" + ",".join(map(str, FAST)), "--grid", "slow=" + ",".join(map(str, SLOW))]
    command = [sys.executable, "-m", "cli", "backtest", "sweep", *options_of(first, last), *grid, "--out", out]
    _, seconds, _ = timed_process([*command, "--quiet", "--json"], TRADEFLEET_DATA=str(root))
    results = SweepResults.read(out).all
    profits = {
        (each.parameters["fast"], each.parameters["slow"]): int(each.figures["profit_paise"] or 0) for each in results
    }
    return profits, {each.form for each in results}, seconds


def by_vectorbt(columns: Path) -> tuple[dict[tuple[int, int], int], float]:
    """Profit by pair, and seconds."""
    pairs = json.dumps([[fast, slow] for fast in FAST for slow in SLOW])
    printed, seconds, _ = timed_process([environment(), HERE / "sweep_by_vectorbt.py", columns, str(QUANTITY), pairs])
    found = json.loads(printed.strip().splitlines()[-1])
    return {(fast, slow): paise for fast, slow, paise in found}, seconds


def measures(days: int = 250) -> Iterable[Measure]:
    """One line."""
    columns = minutes_without_ties(days)
    with tempfile.TemporaryDirectory(prefix="bench-sweep-") as folder:
        root, ready = Path(folder) / "data", Path(folder) / "columns.npz"
        write_days(root, columns)
        write_columns(ready, columns)
        by_vectorbt(ready)  # what it compiles is kept, once an installation
        theirs, their_seconds = by_vectorbt(ready)
        ours, forms, our_seconds = by_us(root, columns)
    what = f"sweep of {len(ours)} pairs x {len(columns):,} bars, whole process, {', '.join(sorted(forms))} | vectorbt"
    if ours != theirs:
        differing = [pair for pair in theirs if ours.get(pair) != theirs[pair]]
        yield Measure(f"{what}: {len(differing)} pairs differ, first {differing[0]}", "", "", None, "equal", False)
        return
    ratio = their_seconds / our_seconds
    yield Measure(
        what, f"{our_seconds:.1f} s", f"{their_seconds:.1f} s", ratio, f"at least {GOAL:g}x", ratio >= GOAL
    )  # fmt: skip


def main() -> int:
    return 0 if print_measures(measures(*map(int, sys.argv[1:]))) else 1


if __name__ == "__main__":
    sys.exit(main())
