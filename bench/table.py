"""Interleaved rounds, medians, and the one table they end in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.curves import Curve


@dataclass(frozen=True)
class Measure:
    """One line of the table. `ratio` is ours to the other's, in the direction in which more is better."""

    what: str
    ours: str
    other: str
    ratio: float | None
    goal: str
    met: bool | None
    curve: Curve | None = None


def timed(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds one call takes."""
    start = clock()
    work()
    return clock() - start


def interleaved(
    *works: Callable[[], object], rounds: int = 3, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Run the works in turn, so that a noisy minute hits all of them; the median seconds of each."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for spent, work in zip(seconds, works, strict=True):
            spent.append(timed(work, clock))
    return [statistics.median(each) for each in seconds]


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of all are at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def print_measures(measures: Iterable[Measure]) -> bool:
    """Print the table; False when a goal was missed."""
    rows = list(measures)
    cells = [[row.what, row.ours, row.other, f"{row.ratio:.2f}x" if row.ratio else "", row.goal] for row in rows]
    verdicts = [{True: "met", False: "MISSED", None: ""}[row.met] for row in rows]
    widths = [max((len(each[column]) for each in cells), default=0) for column in range(5)]
    for line, verdict in zip(cells, verdicts, strict=True):
        what, *figures, goal = line
        middle = "  ".join(figure.rjust(width) for figure, width in zip(figures, widths[1:4], strict=True))
        print(f"{what.ljust(widths[0])}  {middle}  {goal.ljust(widths[4])}  {verdict}")
    return "MISSED" not in verdicts
