"""Highest, lowest, and the Donchian channel between them."""

from __future__ import annotations

from math import isnan
from typing import NamedTuple

import numpy as np

from libs.indicators.base import NAN, BarLike, Indicator
from libs.indicators.columns import Column, Floats, kernel, over_valid
from libs.indicators.parameters import Period, validated


class Highest(Indicator):
    """Highest of the last `period` values. The window is searched only when the highest leaves it."""

    def __init__(self, period: Period = 20) -> None:
        self.period = period
        self._ring = [0.0] * period
        self._at = 0
        self._seen = 0
        self._best = -float("inf")

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        if item - item:
            return NAN
        ring, at = self._ring, self._at
        leaving = ring[at]
        ring[at] = item
        self._at = at + 1 if at + 1 < self.period else 0
        if item >= self._best:
            self._best = item
        elif leaving == self._best and self._seen >= self.period:
            self._best = max(ring)
        if self._seen < self.period:
            self._seen += 1
            if self._seen < self.period:
                return NAN
        self.value = self._best
        return self._best


class Lowest(Indicator):
    """Lowest of the last `period` values."""

    def __init__(self, period: Period = 20) -> None:
        self.period = period
        self._highest = Highest(period)

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        found = -self._highest.update(-item)
        if not isnan(found):
            self.value = found
        return found


class Donchian(Indicator):
    """Donchian channel: highest high and lowest low of the last `period` bars, this one included, and their middle.

    A breakout compares the close with the channel as it was one bar before.
    """

    inputs = ("high", "low")
    outputs = ("middle", "upper", "lower")

    def __init__(self, period: Period = 20) -> None:
        self.period = period
        self._highest = Highest(period)
        self._lowest = Lowest(period)
        self.middle = self.upper = self.lower = NAN

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: BarLike) -> float:
        high, low = item.high, item.low
        if high - high or low - low:
            return NAN
        self.upper = self._highest.update(high)
        self.lower = self._lowest.update(low)
        self.middle = self.value = (self.upper + self.lower) / 2.0
        return self.value


class DonchianColumns(NamedTuple):
    """The channel over columns."""

    middle: Floats
    upper: Floats
    lower: Floats


def highest_dense(values: Floats, period: int) -> Floats:
    """Highest of each window, over a column without gaps."""
    return extreme_kernel(values, period, 1.0)


def lowest_dense(values: Floats, period: int) -> Floats:
    """Lowest of each window, over a column without gaps."""
    return extreme_kernel(values, period, -1.0)


@kernel
def extreme_kernel(values: Floats, period: int, side: float) -> Floats:
    """Highest (side 1) or lowest (-1) of each window, in time that does not grow with the period.

    A window covers the end of one block of `period` values and the beginning of the next: the best of the end is
    known from walking the block backwards, that of the beginning from walking the next one forwards.
    """
    size = len(values)
    out = np.empty(size)
    out[: period - 1] = np.nan
    for begin in range(0, size - period + 1, period):
        end = begin + period
        best = side * values[end - 1]
        for j in range(end - 1, begin - 1, -1):
            value = side * values[j]
            best = value if value > best else best  # noqa: FURB136 - numba's max also looks for NaN
            if j + period - 1 < size:
                out[j + period - 1] = best
        best = -np.inf
        for i in range(end, min(size, end + period - 1)):
            value = side * values[i]
            best = value if value > best else best  # noqa: FURB136 - as above
            out[i] = side * (best if best > out[i] else out[i])  # noqa: FURB136 - as above
        out[end - 1] *= side
    return out


@validated
def highest(close: Column, period: Period = 20) -> Floats:
    """Highest of each window."""
    found: Floats = over_valid(lambda values: highest_dense(values, period), close)
    return found


@validated
def lowest(close: Column, period: Period = 20) -> Floats:
    """Lowest of each window."""
    found: Floats = over_valid(lambda values: lowest_dense(values, period), close)
    return found


@validated
def donchian(high: Column, low: Column, period: Period = 20) -> DonchianColumns:
    """Donchian channel over columns."""

    def compute(highs: Floats, lows: Floats) -> tuple[Floats, Floats, Floats]:
        upper, lower = highest_dense(highs, period), lowest_dense(lows, period)
        return (upper + lower) / 2.0, upper, lower

    return DonchianColumns(*over_valid(compute, high, low, outputs=3))
