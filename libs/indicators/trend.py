"""Trend: ADX with its directional indicators, Supertrend."""

from __future__ import annotations

from math import isnan
from typing import NamedTuple

import numpy as np

from libs.indicators.base import NAN, BarLike, Indicator
from libs.indicators.columns import Column, Floats, kernel, over_valid
from libs.indicators.parameters import Multiplier, Period, Window, validated
from libs.indicators.volatility import ATR, atr_kernel


class ADX(Indicator):
    """Wilder's average directional index, with the plus and minus directional indicators, as in TA-Lib.

    The sums of range and movement start with `period - 1` bars and decay by one part in `period` from then on; the
    indicators appear one bar later, ADX after `period` of those. A bar without any direction leaves ADX as it was.
    """

    inputs = ("high", "low", "close")
    outputs = ("adx", "plus_di", "minus_di")

    def __init__(self, period: Window = 14) -> None:
        self.period = period
        self._high = self._low = self._close = NAN
        self._seen = -1
        self._range = self._plus = self._minus = 0.0
        self._sum = 0.0
        self.adx = self.plus_di = self.minus_di = NAN

    @property
    def bars_needed(self) -> int:
        return 2 * self.period

    def update(self, item: BarLike) -> float:
        high, low, close = item.high, item.low, item.close
        if high - high or low - low or close - close:
            return NAN
        up, down = high - self._high, self._low - low
        top = max(high, self._close)
        bottom = min(low, self._close)
        self._high, self._low, self._close = high, low, close
        self._seen += 1
        if self._seen == 0:
            return NAN
        period = self.period
        if self._seen >= period:
            self._range -= self._range / period
            self._plus -= self._plus / period
            self._minus -= self._minus / period
        self._range += top - bottom
        if up > down and up > 0.0:
            self._plus += up
        elif down > up and down > 0.0:
            self._minus += down
        return self._index() if self._seen >= period else NAN

    def _index(self) -> float:
        total = self._range
        self.plus_di = plus = 100.0 * (self._plus / total) if total > 0.0 else 0.0
        self.minus_di = minus = 100.0 * (self._minus / total) if total > 0.0 else 0.0
        period, spread = self.period, plus + minus
        if self._seen < 2 * period:
            if spread > 0.0:
                self._sum += 100.0 * (abs(minus - plus) / spread)
            if self._seen < 2 * period - 1:
                return NAN
            self.adx = self._sum / period
        elif spread > 0.0:
            self.adx = (self.adx * (period - 1) + 100.0 * (abs(minus - plus) / spread)) / period
        self.value = self.adx
        return self.value


class Supertrend(Indicator):
    """Supertrend: a stop line `multiplier` ATRs from the middle of the bar that only follows the trend.

    `direction` is 1 (line below, as support) or -1. It starts with the first ATR: up when the close is not below the
    middle of that bar. A close beyond the line turns it.
    """

    inputs = ("high", "low", "close")
    outputs = ("line", "direction")

    def __init__(self, period: Period = 10, multiplier: Multiplier = 3.0) -> None:
        self.multiplier = multiplier
        self._atr = ATR(period)
        self._upper = self._lower = self._close = NAN
        self.line = self.direction = NAN

    @property
    def bars_needed(self) -> int:
        return self._atr.bars_needed

    def update(self, item: BarLike) -> float:
        width = self.multiplier * self._atr.update(item)
        if isnan(width):
            return NAN
        close = item.close
        middle = (item.high + item.low) / 2.0
        upper, lower = middle + width, middle - width
        if isnan(self.direction):  # the first
            self.direction = 1.0 if close >= middle else -1.0
        else:
            # A band may come nearer, never go away, unless the close before broke it.
            if upper > self._upper and self._close <= self._upper:
                upper = self._upper
            if lower < self._lower and self._close >= self._lower:
                lower = self._lower
            if self.direction > 0.0 and close < lower:
                self.direction = -1.0
            elif self.direction < 0.0 and close > upper:
                self.direction = 1.0
        self._upper, self._lower, self._close = upper, lower, close
        self.line = self.value = lower if self.direction > 0.0 else upper
        return self.value


class ADXColumns(NamedTuple):
    """ADX and its directional indicators over columns."""

    adx: Floats
    plus_di: Floats
    minus_di: Floats


class SupertrendColumns(NamedTuple):
    """Supertrend over columns."""

    line: Floats
    direction: Floats


@kernel
def adx_kernel(highs: Floats, lows: Floats, closes: Floats, period: int) -> tuple[Floats, Floats, Floats]:
    size = len(closes)
    adx_out, plus_out, minus_out = np.full(size, np.nan), np.full(size, np.nan), np.full(size, np.nan)
    total, plus_sum, minus_sum, index_sum, adx_now = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(1, size):
        if i >= period:
            total -= total / period
            plus_sum -= plus_sum / period
            minus_sum -= minus_sum / period
        up, down = highs[i] - highs[i - 1], lows[i - 1] - lows[i]
        total += max(highs[i], closes[i - 1]) - min(lows[i], closes[i - 1])
        if up > down and up > 0.0:
            plus_sum += up
        elif down > up and down > 0.0:
            minus_sum += down
        if i < period:
            continue
        plus = 100.0 * (plus_sum / total) if total > 0.0 else 0.0
        minus = 100.0 * (minus_sum / total) if total > 0.0 else 0.0
        plus_out[i], minus_out[i] = plus, minus
        spread = plus + minus
        index = 100.0 * (abs(minus - plus) / spread) if spread > 0.0 else 0.0
        if i < 2 * period:
            index_sum += index
            adx_now = index_sum / period
        elif spread > 0.0:
            adx_now = (adx_now * (period - 1) + index) / period
        if i >= 2 * period - 1:
            adx_out[i] = adx_now
    return adx_out, plus_out, minus_out


@kernel
def supertrend_kernel(
    highs: Floats, lows: Floats, closes: Floats, ranges: Floats, multiplier: float
) -> tuple[Floats, Floats]:
    lines, directions = np.full(len(closes), np.nan), np.full(len(closes), np.nan)
    upper, lower, direction = 0.0, 0.0, 0.0
    for i in range(len(closes)):
        width = multiplier * ranges[i]
        if np.isnan(width):
            continue
        middle = (highs[i] + lows[i]) / 2.0
        upper_now, lower_now = middle + width, middle - width
        if direction == 0.0:
            direction = 1.0 if closes[i] >= middle else -1.0
        else:
            if upper_now > upper and closes[i - 1] <= upper:
                upper_now = upper
            if lower_now < lower and closes[i - 1] >= lower:
                lower_now = lower
            if direction > 0.0 and closes[i] < lower_now:
                direction = -1.0
            elif direction < 0.0 and closes[i] > upper_now:
                direction = 1.0
        upper, lower = upper_now, lower_now
        directions[i] = direction
        lines[i] = lower if direction > 0.0 else upper
    return lines, directions


@validated
def adx(high: Column, low: Column, close: Column, period: Window = 14) -> ADXColumns:
    """ADX over columns."""

    def compute(highs: Floats, lows: Floats, closes: Floats) -> tuple[Floats, Floats, Floats]:
        return adx_kernel(highs, lows, closes, period)

    return ADXColumns(*over_valid(compute, high, low, close, outputs=3))


@validated
def supertrend(
    high: Column, low: Column, close: Column, period: Period = 10, multiplier: Multiplier = 3.0
) -> SupertrendColumns:
    """Supertrend over columns."""

    def compute(highs: Floats, lows: Floats, closes: Floats) -> tuple[Floats, Floats]:
        return supertrend_kernel(highs, lows, closes, atr_kernel(highs, lows, closes, period), float(multiplier))

    return SupertrendColumns(*over_valid(compute, high, low, close, outputs=2))
