"""Oscillators: RSI, Stochastic, CCI."""

from __future__ import annotations

from math import isnan
from typing import NamedTuple

import numpy as np

from libs.indicators.averages import SMA, sma_dense
from libs.indicators.base import NAN, BarLike, Indicator
from libs.indicators.channels import Highest, Lowest, highest_dense, lowest_dense
from libs.indicators.columns import Column, Floats, kernel, over_valid
from libs.indicators.parameters import Period, Window, validated


class RSI(Indicator):
    """Wilder's relative strength index, 0 to 100. Where nothing moved it is 50 (TA-Lib says 0)."""

    def __init__(self, period: Window = 14) -> None:
        self.period = period
        self._weight = 1.0 / period
        self._last = NAN
        self._seen = -1
        self._gain = 0.0
        self._loss = 0.0

    @property
    def bars_needed(self) -> int:
        return self.period + 1

    def update(self, item: float) -> float:
        change = item - self._last
        if change - change:  # the first, or missing
            return self._first(item)
        self._last = item
        if self._seen == self.period:
            gain, loss = self._gain, self._loss
            weight = self._weight
            if change > 0.0:
                gain += weight * (change - gain)
                loss -= weight * loss
            else:
                gain -= weight * gain
                loss -= weight * (change + loss)
            self._gain, self._loss = gain, loss
            total = gain + loss
            self.value = value = 100.0 * gain / total if total > 0.0 else 50.0
            return value
        return self._seed(change)

    def _first(self, item: float) -> float:
        if self._seen < 0 and not item - item:
            self._last = item
            self._seen = 0
        return NAN

    def _seed(self, change: float) -> float:
        self._seen += 1
        if change > 0.0:
            self._gain += change
        else:
            self._loss -= change
        if self._seen < self.period:
            return NAN
        self._gain /= self.period
        self._loss /= self.period
        total = self._gain + self._loss
        self.value = 100.0 * self._gain / total if total > 0.0 else 50.0
        return self.value


class Stochastic(Indicator):
    """Slow stochastic: %K smoothed by a mean of `smooth`, %D the mean of `d` of those.

    %K is where the close stands between the lowest low and the highest high of `k` bars;
    where they are equal it is 50 (TA-Lib says 0).
    """

    inputs = ("high", "low", "close")
    outputs = ("k", "d")

    def __init__(self, k_period: Period = 14, smooth: Period = 3, d_period: Period = 3) -> None:
        self.k_period = k_period
        self._highest = Highest(k_period)
        self._lowest = Lowest(k_period)
        self._smooth = SMA(smooth)
        self._mean = SMA(d_period)
        self.k = self.d = NAN

    @property
    def bars_needed(self) -> int:
        return self.k_period + self._smooth.period + self._mean.period - 2

    def update(self, item: BarLike) -> float:
        high, low, close = item.high, item.low, item.close
        if high - high or low - low or close - close:
            return NAN
        top = self._highest.update(high)
        bottom = self._lowest.update(low)
        if isnan(top):
            return NAN
        raw = 100.0 * (close - bottom) / (top - bottom) if top > bottom else 50.0
        self.k = self.value = self._smooth.update(raw)
        self.d = self._mean.update(self.k)
        return self.value


class StochasticColumns(NamedTuple):
    """The slow stochastic over columns."""

    k: Floats
    d: Floats


class CCI(Indicator):
    """Commodity channel index: how many mean deviations (by 0.015) the typical price is from its mean."""

    inputs = ("high", "low", "close")

    def __init__(self, period: Window = 20) -> None:
        self.period = period
        self._ring = [0.0] * period
        self._at = 0
        self._mean = SMA(period)

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: BarLike) -> float:
        typical = (item.high + item.low + item.close) / 3.0
        mean = self._mean.update(typical)
        if typical - typical:
            return NAN
        ring, at = self._ring, self._at
        ring[at] = typical
        self._at = at + 1 if at + 1 < self.period else 0
        if isnan(mean):
            return NAN
        # Oldest first, in the order the vectorised form adds them.
        deviation = 0.0
        for held in ring[self._at :]:
            deviation += abs(held - mean)
        for held in ring[: self._at]:
            deviation += abs(held - mean)
        self.value = cci_of(typical, mean, deviation / self.period)
        return self.value


def cci_of(typical: float, mean: float, deviation: float) -> float:
    """Say 0 where the deviation is nothing but rounding: a price that does not move."""
    return (typical - mean) / (0.015 * deviation) if deviation > 1e-13 * abs(mean) else 0.0


@kernel
def rsi_kernel(values: Floats, period: int) -> Floats:
    out = np.full(len(values), np.nan)
    if len(values) <= period:
        return out
    gain, loss = 0.0, 0.0
    for i in range(1, period + 1):
        change = values[i] - values[i - 1]
        if change > 0.0:
            gain += change
        else:
            loss -= change
    gain /= period
    loss /= period
    weight = 1.0 / period
    out[period] = 100.0 * gain / (gain + loss) if gain + loss > 0.0 else 50.0
    for i in range(period + 1, len(values)):
        change = values[i] - values[i - 1]
        rise, fall = max(change, 0.0), max(-change, 0.0)
        gain += weight * (rise - gain)
        loss += weight * (fall - loss)
        out[i] = 100.0 * gain / (gain + loss) if gain + loss > 0.0 else 50.0
    return out


@kernel
def cci_kernel(typical: Floats, mean: Floats, period: int) -> Floats:
    out = np.full(len(typical), np.nan)
    for i in range(period - 1, len(typical)):
        deviation = 0.0
        for j in range(i - period + 1, i + 1):
            deviation += abs(typical[j] - mean[i])
        deviation /= period
        flat = deviation <= 1e-13 * abs(mean[i])
        out[i] = 0.0 if flat else (typical[i] - mean[i]) / (0.015 * deviation)
    return out


@kernel
def place_kernel(closes: Floats, tops: Floats, bottoms: Floats) -> Floats:
    """Give where in its range each close lies, 0 to 100; the middle where there is no range, or none yet."""
    out = np.empty(len(closes))
    for i in range(len(closes)):
        top, bottom = tops[i], bottoms[i]
        out[i] = 100.0 * (closes[i] - bottom) / (top - bottom) if top > bottom else 50.0
    return out


@validated
def rsi(close: Column, period: Window = 14) -> Floats:
    """Relative strength index of a column."""
    columns: Floats = over_valid(lambda values: rsi_kernel(values, period), close)
    return columns


@validated
def stochastic(
    high: Column, low: Column, close: Column, k_period: Period = 14, smooth: Period = 3, d_period: Period = 3
) -> StochasticColumns:
    """Slow stochastic over columns."""

    def compute(highs: Floats, lows: Floats, closes: Floats) -> tuple[Floats, Floats]:
        top, bottom = highest_dense(highs, k_period), lowest_dense(lows, k_period)
        raw = place_kernel(closes, top, bottom)
        k, d = np.full((2, len(closes)), np.nan)
        k[k_period - 1 :] = sma_dense(raw[k_period - 1 :], smooth)
        first = k_period + smooth - 2
        d[first:] = sma_dense(k[first:], d_period)
        return k, d

    return StochasticColumns(*over_valid(compute, high, low, close, outputs=2))


@validated
def cci(high: Column, low: Column, close: Column, period: Window = 20) -> Floats:
    """Commodity channel index over columns."""

    def compute(highs: Floats, lows: Floats, closes: Floats) -> Floats:
        typical = (highs + lows + closes) / 3.0
        return cci_kernel(typical, sma_dense(typical, period), period)

    columns: Floats = over_valid(compute, high, low, close)
    return columns
