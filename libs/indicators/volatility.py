"""Ranges and bands: true range, ATR, Bollinger bands, Keltner channel."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from libs.indicators.averages import EMA, ema_weight, smoothing_kernel
from libs.indicators.base import NAN, BarLike, Indicator
from libs.indicators.columns import Column, Floats, kernel, over_valid
from libs.indicators.parameters import Multiplier, Period, Window, validated


class ATR(Indicator):
    """Average true range by Wilder's smoothing. The first bar has no true range: there is no close before it."""

    # The average is `keep` times itself plus `weight` times the range, not `Wilder`'s correction by the difference:
    # equal but for rounding, and a third less waiting from row to row in the vectorised form.

    inputs = ("high", "low", "close")

    def __init__(self, period: Period = 14) -> None:
        self.period = period
        self._weight = 1.0 / period
        self._keep = 1.0 - self._weight
        self._left = period
        self._sum = 0.0
        self._close = NAN

    @property
    def bars_needed(self) -> int:
        return self.period + 1

    def update(self, item: BarLike) -> float:
        high, low, close = item.high, item.low, item.close
        if high - high or low - low or close - close:
            return NAN
        before = self._close
        self._close = close
        if math.isnan(before):  # the first bar
            return NAN
        top = max(high, before)
        bottom = min(low, before)
        if not self._left:
            self.value = value = self._keep * self.value + self._weight * (top - bottom)
            return value
        self._left -= 1
        self._sum += top - bottom
        if not self._left:
            self.value = self._sum / self.period
        return self.value


class Bollinger(Indicator):
    """Bollinger bands: the mean of `period` values and `multiplier` standard deviations (of the population) around it.

    Mean and deviation slide with each value and are made anew once a window: no cancellation at high prices.
    """

    outputs = ("middle", "upper", "lower")

    def __init__(self, period: Window = 20, multiplier: Multiplier = 2.0) -> None:
        self.period = period
        self.multiplier = multiplier
        self._ring = [0.0] * period
        self._at = 0
        self._mean = 0.0
        self._squares = 0.0
        self._full = False
        self.middle = self.upper = self.lower = NAN

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        if item - item:
            return NAN
        ring, at, period = self._ring, self._at, self.period
        leaving = ring[at]
        ring[at] = item
        self._at = at = at + 1
        if at == period:
            self._at = 0
            self._full = True
            self._renew()
        elif self._full:
            mean = self._mean + (item - leaving) / period
            self._squares += (item - leaving) * (item - mean + (leaving - self._mean))
            self._mean = mean
        else:
            return NAN
        width = self.multiplier * math.sqrt(self._squares / period) if self._squares > 0.0 else 0.0
        self.middle = self.value = self._mean
        self.upper = self._mean + width
        self.lower = self._mean - width
        return self.value

    def _renew(self) -> None:
        first = self._ring[0]
        shift = 0.0
        for held in self._ring:
            shift += held - first
        mean = first + shift / self.period
        squares = 0.0
        for held in self._ring:
            squares += (held - mean) * (held - mean)
        self._mean, self._squares = mean, squares


class Keltner(Indicator):
    """Keltner channel: an EMA of the close with `multiplier` ATRs around it."""

    inputs = ("high", "low", "close")
    outputs = ("middle", "upper", "lower")

    def __init__(self, period: Period = 20, atr_period: Period = 10, multiplier: Multiplier = 2.0) -> None:
        self.multiplier = multiplier
        self._average = EMA(period)
        self._atr = ATR(atr_period)
        self.middle = self.upper = self.lower = NAN

    @property
    def bars_needed(self) -> int:
        return max(self._average.bars_needed, self._atr.bars_needed)

    def update(self, item: BarLike) -> float:
        high, low, close = item.high, item.low, item.close
        if high - high or low - low or close - close:
            return NAN
        width = self.multiplier * self._atr.update(item)
        self.middle = self.value = self._average.update(close)
        self.upper = self.middle + width
        self.lower = self.middle - width
        return self.value


class BandColumns(NamedTuple):
    """Middle, upper and lower band over columns."""

    middle: Floats
    upper: Floats
    lower: Floats


@kernel
def bollinger_kernel(values: Floats, period: int, multiplier: float) -> tuple[Floats, Floats, Floats]:
    middles, uppers, lowers = np.empty(len(values)), np.empty(len(values)), np.empty(len(values))
    middles[: period - 1] = uppers[: period - 1] = lowers[: period - 1] = np.nan
    mean, squares = 0.0, 0.0
    at = 0
    for i in range(len(values)):
        at += 1
        if at == period:
            at = 0
            first = values[i - period + 1]
            shift = 0.0
            for j in range(i - period + 1, i + 1):
                shift += values[j] - first
            mean = first + shift / period
            squares = 0.0
            for j in range(i - period + 1, i + 1):
                squares += (values[j] - mean) * (values[j] - mean)
        elif i >= period:
            entering, leaving = values[i], values[i - period]
            slid = mean + (entering - leaving) / period
            squares += (entering - leaving) * (entering - slid + (leaving - mean))
            mean = slid
        if i >= period - 1:
            width = multiplier * np.sqrt(squares / period) if squares > 0.0 else 0.0
            middles[i], uppers[i], lowers[i] = mean, mean + width, mean - width
    return middles, uppers, lowers


@kernel
def atr_kernel(highs: Floats, lows: Floats, closes: Floats, period: int) -> Floats:
    size = len(closes)
    out = np.empty(size)
    out[:period] = np.nan
    if size <= period:
        return out
    total = 0.0
    for i in range(1, period + 1):
        total += max(highs[i], closes[i - 1]) - min(lows[i], closes[i - 1])
    value = total / period
    out[period] = value
    weight = 1.0 / period
    keep = 1.0 - weight
    for i in range(period + 1, size):
        before = closes[i - 1]
        top = highs[i] if highs[i] > before else before  # noqa: FURB136 - numba's max also looks for NaN
        bottom = lows[i] if lows[i] < before else before  # noqa: FURB136 - as above
        value = keep * value + weight * (top - bottom)
        out[i] = value
    return out


@validated
def atr(high: Column, low: Column, close: Column, period: Period = 14) -> Floats:
    """Average true range over columns."""
    columns: Floats = over_valid(lambda highs, lows, closes: atr_kernel(highs, lows, closes, period), high, low, close)
    return columns


@validated
def bollinger(close: Column, period: Window = 20, multiplier: Multiplier = 2.0) -> BandColumns:
    """Bollinger bands of a column."""

    def compute(values: Floats) -> tuple[Floats, Floats, Floats]:
        return bollinger_kernel(values, period, float(multiplier))

    return BandColumns(*over_valid(compute, close, outputs=3))


@validated
def keltner(
    high: Column, low: Column, close: Column, period: Period = 20, atr_period: Period = 10, multiplier: Multiplier = 2.0
) -> BandColumns:
    """Keltner channel over columns."""

    def compute(highs: Floats, lows: Floats, closes: Floats) -> tuple[Floats, Floats, Floats]:
        middle = smoothing_kernel(closes, period, ema_weight(period), 0)
        width = multiplier * atr_kernel(highs, lows, closes, atr_period)
        return middle, middle + width, middle - width

    return BandColumns(*over_valid(compute, high, low, close, outputs=3))
