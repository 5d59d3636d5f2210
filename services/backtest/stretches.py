"""What an account in one symbol was worth, by the stretches between its deals: bar by bar only where that says more.

Between two deals cash and holding stay as they are, so that the lowest and the highest close say how the account did.
Only in a stretch that reaches the best so far does the order of its bars matter: those are walked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from libs.indicators.columns import Floats, Integers
from libs.strategies.wishes import Flags
from libs.trading.columns import ROWS_AT_A_TIME
from services.backtest.equity import Deals, Steps, Valuation, paise_of
from services.backtest.metrics import Timeline, Worth

#: numpy adds so many at once, side by side, and halves no more than 128 of them.
_ADDED_AT_ONCE = 8


class _Stretches(NamedTuple):
    """From a row on, so many rows: cash, quantity held, the account at its lowest and highest, its best before."""

    starts: Integers
    lengths: Integers
    cash: Integers
    held: Integers
    low: Integers
    high: Integers
    best: Integers


class Stretched:
    """Values accounts in the only symbol of a valuation."""

    def __init__(self, valuation: Valuation, timeline: Timeline) -> None:
        self._units = valuation.units_alone
        self._near = None if self._units is None else _narrow(self._units)
        self._timeline = timeline
        #: The last quantity that was the only one of an account, and what it is worth at every bar.
        self._whole: tuple[int, Floats] = (0, np.empty(0))

    def worth(self, deals: Deals, cash_paise: int) -> Worth | None:
        """Give what `worth_of` gives for the curve of these deals, to the bit; None where their rows must be walked."""
        units = self._units
        if units is None or deals.rows is None or not len(units):
            return None
        cash = np.cumsum(np.concatenate([[cash_paise], -deals.paid]))
        held = np.cumsum(np.concatenate([[0], deals.signed]))
        all_ = self._stretches(deals.rows, cash, held, cash_paise)
        holds = all_.held != 0
        is_nothing = holds & ((all_.low == all_.cash) | (all_.high == all_.cash))
        least = int(all_.low.min())
        if least <= 0 or is_nothing.any():
            return None
        reaches = all_.high >= all_.best
        rows, equity = _walked(units, all_, reaches)
        peaks = np.maximum.accumulate(np.maximum(equity, cash_paise))
        # Elsewhere the best so far stands, and the deepest fall is to the lowest close.
        deepest = _deepest(np.where(reaches, 0, all_.best - all_.low), all_.best), _deepest(peaks - equity, peaks)
        fall_max, fall_max_ratio = map(max, zip(*deepest, strict=True))
        last_rows = self._timeline.last_rows
        at = np.searchsorted(all_.starts, last_rows, side="right") - 1
        return Worth(
            evenings=all_.cash[at] + paise_of(units[last_rows], all_.held[at]),
            least=least,
            fall_max=int(fall_max),
            fall_max_ratio=fall_max_ratio,
            days_below=self._longest_days(rows[equity == peaks]),
            exposed=int(all_.lengths[holds].sum()),
            exposure_average=self._exposure_average(deals.rows, cash, held),
        )

    def _stretches(self, at: Integers, cash: Integers, held: Integers, cash_paise: int) -> _Stretches:
        assert self._units is not None  # `worth` asked
        assert self._near is not None
        edges = np.concatenate([[0], at, [len(self._units)]])
        lengths = np.diff(edges)
        starts, is_real = edges[:-1], lengths > 0
        if not is_real.all():  # of several deals on one bar the last counts
            starts, lengths, cash, held = (column[is_real] for column in (starts, lengths, cash, held))
        low, high, holds = cash.copy(), cash.copy(), np.flatnonzero(held != 0)
        ends = [
            paise_of(edge.reduceat(self._near, starts)[holds].astype(np.int64), held[holds])
            for edge in (np.minimum, np.maximum)
        ]
        low[holds] += np.minimum(*ends)
        high[holds] += np.maximum(*ends)
        best = np.maximum.accumulate(np.concatenate([[cash_paise], high[:-1]]))
        return _Stretches(starts, lengths, cash, held, low, high, best)

    def _longest_days(self, best_rows: Integers) -> int:
        """Count the trading days of the longest stretch between two rows that are as good as any before."""
        edges = np.concatenate([[-1], best_rows, [len(self._timeline.timestamps)]])
        gaps = np.flatnonzero(np.diff(edges) > 1)
        if not len(gaps):
            return 0
        numbers = self._timeline.numbers
        return int(np.max(numbers(edges[gaps + 1] - 1) - numbers(edges[gaps] + 1))) + 1

    def _exposure_average(self, at: Integers, cash: Integers, held: Integers) -> float:
        """Give the mean of what is held at every bar as a share of the account."""
        units = self._units
        assert units is not None  # `worth` asked
        # Nothing held is no share, whatever the bar is worth: a share of what is without end.
        cash_steps = Steps(at, np.where(held == 0, np.inf, cash))
        steps = Steps(at, held)
        whole = self._worth_of(abs(steps.size_only)) if steps.size_only else None
        sides = Steps(at, np.sign(held).astype(np.float64)) if held.min() < 0 else None

        def shares(start: int, end: int) -> Floats:
            equity: Floats = cash_steps.between(start, end)
            if whole is None:
                worth = paise_of(units[start:end], steps.between(start, end)).astype(np.float64)
                equity += worth
                np.abs(worth, out=worth)
            else:
                worth = whole[start:end]
                equity += worth if sides is None else worth * sides.between(start, end)
            np.divide(worth, equity, out=equity)
            return equity

        return mean_of(len(units), shares)

    def _worth_of(self, size: int) -> Floats:
        assert self._units is not None
        kept = self._whole
        if kept[0] != size:
            kept = self._whole = (size, paise_of(self._units, np.int64(size)).astype(np.float64))
        return kept[1]


def mean_of(rows: int, part: Callable[[int, int], Floats]) -> float:
    """Give `np.mean` of a column, to the bit, from parts of it that a core keeps near: numpy adds by halves, too."""

    def total(start: int, count: int) -> float:
        if count <= ROWS_AT_A_TIME:
            return float(np.add.reduce(part(start, start + count)))
        half = count // 2
        half -= half % _ADDED_AT_ONCE
        return total(start, half) + total(start + half, count - half)

    return total(0, rows) / rows


def _narrow(units: Integers) -> NDArray[Any]:
    """Give prices in half of their memory, where they are small enough."""
    is_small = bool(len(units)) and int(units.min()) > -(1 << 31) and int(units.max()) < 1 << 31
    return units.astype(np.int32) if is_small else units


def _deepest(falls: Integers, peaks: Integers) -> tuple[int, float]:
    """Give the deepest fall, and the deepest as a share of the peak it began at."""
    return int(falls.max(initial=0)), float((falls / peaks).max(initial=0.0))


def _walked(units: Integers, all_: _Stretches, picked: Flags) -> tuple[Integers, Integers]:
    """Give the rows of some stretches, and the account on them."""
    lengths = all_.lengths[picked]
    before = np.cumsum(lengths) - lengths
    rows = np.repeat(all_.starts[picked] - before, lengths) + np.arange(int(lengths.sum()))
    worth = paise_of(units[rows], np.repeat(all_.held[picked], lengths))
    return rows, np.repeat(all_.cash[picked], lengths) + worth
