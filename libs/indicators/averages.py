"""Moving averages: simple, exponential, weighted, and Wilder's smoothing the others build on."""

from __future__ import annotations

import numpy as np

from libs.indicators.base import NAN, Indicator
from libs.indicators.columns import Column, Floats, has_compiled, kernel, over_valid
from libs.indicators.parameters import Period, validated

#: Rows of a column that are worked on together.
_ROWS_AT_A_TIME = 1 << 16
#: Sums slide side by side, place by place, where there are more windows than so many times their length; else window
#: by window. The one takes a call or two for every place, the other a little for every window.
_WINDOWS_A_PLACE = 16


class SMA(Indicator):
    """Simple moving average: the mean of the last `period` values.

    The running sum is made anew once a window, so that rounding never adds up.
    """

    def __init__(self, period: Period = 20) -> None:
        self.period = period
        self._ring = [0.0] * period
        self._at = 0
        self._sum = 0.0
        self._full = False

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        if item - item:  # missing: NaN, or infinite
            return NAN
        ring, at = self._ring, self._at
        self._sum += item - ring[at]
        ring[at] = item
        at += 1
        if at == self.period:
            at = 0
            self._full = True
            total = 0.0
            for held in ring:
                total += held
            self._sum = total
        self._at = at
        if self._full:
            self.value = self._sum / self.period
            return self.value
        return NAN


class EMA(Indicator):
    """Exponential moving average, seeded with the mean of the first `period` values, as TA-Lib does."""

    def __init__(self, period: Period = 20) -> None:
        self.period = period
        self._weight = ema_weight(period)
        self._seen = 0
        self._sum = 0.0

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        if item - item:
            return NAN
        if self._seen == self.period:
            self.value = value = self.value + self._weight * (item - self.value)
            return value
        self._seen += 1
        self._sum += item
        if self._seen == self.period:
            self.value = self._sum / self.period
        return self.value


class Wilder(Indicator):
    """Wilder's smoothing: an exponential average of weight 1/period, seeded with the mean of the first `period`."""

    def __init__(self, period: Period = 14) -> None:
        self.period = period
        self._weight = 1.0 / period
        self._seen = 0
        self._sum = 0.0

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        if item - item:
            return NAN
        if self._seen == self.period:
            self.value = value = self.value + self._weight * (item - self.value)
            return value
        self._seen += 1
        self._sum += item
        if self._seen == self.period:
            self.value = self._sum / self.period
        return self.value


class WMA(Indicator):
    """Weighted moving average: the newest of `period` values weighs `period`, the oldest 1."""

    def __init__(self, period: Period = 20) -> None:
        self.period = period
        self._ring = [0.0] * period
        self._at = 0
        self._sum = 0.0
        self._weighted = 0.0
        self._weights = period * (period + 1) / 2.0
        self._full = False

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        if item - item:
            return NAN
        ring, at = self._ring, self._at
        self._weighted += self.period * item - self._sum
        self._sum += item - ring[at]
        ring[at] = item
        at += 1
        if at == self.period:
            at = 0
            self._full = True
            total, weighted, weight = 0.0, 0.0, 0.0
            for held in ring:
                weight += 1.0
                total += held
                weighted += weight * held
            self._sum, self._weighted = total, weighted
        self._at = at
        if self._full:
            self.value = self._weighted / self._weights
            return self.value
        return NAN


def ema_weight(period: int) -> float:
    """The weight of the newest value in an exponential average."""
    return 2.0 / (period + 1.0)


def sma_dense(values: Floats, period: int) -> Floats:
    """Slide the sum as the streaming form does, to the bit, in all windows' first bars at once, then in their second.

    Sums are made anew every `period` bars, so that the windows between do not depend on each other, and are gone
    through so many at a time as a core keeps near it. This is for a process that never compiled a kernel; one that did
    slides twice as fast.
    """
    if has_compiled():
        return sma_kernel(values, period)
    averages = len(values) - period + 1
    out = np.empty(len(values))
    out[: period - 1] = np.nan
    step = max(1, _ROWS_AT_A_TIME // period) * period
    for start in range(0, averages, step):
        end = min(start + step, averages) + period - 1
        np.divide(_slid(values[start:end], period), period, out=out[start + period - 1 : end])
    return out


def _slid(values: Floats, period: int) -> Floats:
    """Give the sum of every window; the first begins with the first value."""
    count = len(values) - period + 1
    windows = -(-count // period)
    sums = np.zeros(windows * period)
    np.subtract(values[period:], values[: count - 1], out=sums[1:count])
    # A row for each sum that is made anew, and what is added to it to come to the next ones.
    grid, whole = sums.reshape(windows, period), values[: windows * period].reshape(windows, period)
    if windows < _WINDOWS_A_PLACE * period:
        grid[:, 0] = np.add.accumulate(whole, axis=1)[:, -1] + 0.0
        return np.add.accumulate(grid, axis=1).reshape(-1)[:count]
    running = np.zeros(windows)
    for column in whole.T:
        running += column
    grid[:, 0] = running
    for column in grid.T[1:]:
        np.add(running, column, out=running)
        column[:] = running
    return sums[:count]


@kernel
def sma_kernel(values: Floats, period: int) -> Floats:
    size = len(values)
    out = np.full(size, np.nan)
    for first in range(0, size - period + 1, period):
        total = 0.0
        for i in range(first, first + period):
            total += values[i]
        out[first + period - 1] = total / period
        for i in range(first + period, min(first + 2 * period - 1, size)):
            total += values[i] - values[i - period]
            out[i] = total / period
    return out


@kernel
def smoothing_kernel(values: Floats, period: int, weight: float, start: int) -> Floats:
    """Exponential average over values[start:], seeded with the mean of the first `period` of them."""
    out = np.full(len(values), np.nan)
    if len(values) < start + period:
        return out
    value = 0.0
    for i in range(start, start + period):
        value += values[i]
    value /= period
    out[start + period - 1] = value
    for i in range(start + period, len(values)):
        value += weight * (values[i] - value)
        out[i] = value
    return out


@kernel
def wma_kernel(values: Floats, period: int) -> Floats:
    out = np.full(len(values), np.nan)
    total, weighted = 0.0, 0.0
    weights = period * (period + 1) / 2.0
    at = 0
    for i in range(len(values)):
        weighted += period * values[i] - total
        total += values[i] - (values[i - period] if i >= period else 0.0)
        at += 1
        if at == period:
            at = 0
            total, weighted, weight = 0.0, 0.0, 0.0
            for j in range(i - period + 1, i + 1):
                weight += 1.0
                total += values[j]
                weighted += weight * values[j]
        if i >= period - 1:
            out[i] = weighted / weights
    return out


@validated
def sma(close: Column, period: Period = 20) -> Floats:
    """Simple moving average of a column."""
    columns: Floats = over_valid(lambda values: sma_dense(values, period), close)
    return columns


@validated
def ema(close: Column, period: Period = 20) -> Floats:
    """Exponential moving average of a column."""
    columns: Floats = over_valid(lambda values: smoothing_kernel(values, period, ema_weight(period), 0), close)
    return columns


@validated
def wilder(close: Column, period: Period = 14) -> Floats:
    """Wilder's smoothing of a column."""
    columns: Floats = over_valid(lambda values: smoothing_kernel(values, period, 1.0 / period, 0), close)
    return columns


@validated
def wma(close: Column, period: Period = 20) -> Floats:
    """Weighted moving average of a column."""
    columns: Floats = over_valid(lambda values: wma_kernel(values, period), close)
    return columns
