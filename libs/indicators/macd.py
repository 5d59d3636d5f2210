"""MACD."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from libs.indicators.averages import EMA, ema_weight
from libs.indicators.base import NAN, Indicator
from libs.indicators.columns import Column, Floats, kernel, over_valid
from libs.indicators.parameters import ParameterError, Period, Window, validated


class MACD(Indicator):
    """Difference of a fast and a slow EMA, its own EMA as the signal line, and the histogram between them.

    Both EMAs give their first value at the same bar, as in TA-Lib: the fast one starts later.
    """

    outputs = ("macd", "signal", "histogram")

    def __init__(self, fast: Period = 12, slow: Window = 26, signal_period: Period = 9) -> None:
        _ordered(fast, slow)
        self._fast = EMA(fast)
        self._slow = EMA(slow)
        self._signal = EMA(signal_period)
        self._wait = slow - fast
        self.macd = self.signal = self.histogram = NAN

    @property
    def bars_needed(self) -> int:
        return self._slow.period + self._signal.period - 1

    def update(self, item: float) -> float:
        if item - item:
            return NAN
        slow = self._slow.update(item)
        if self._wait:
            self._wait -= 1
            return NAN
        self.macd = self.value = self._fast.update(item) - slow
        self.signal = self._signal.update(self.macd)
        self.histogram = self.macd - self.signal
        return self.value


class MACDColumns(NamedTuple):
    """MACD over a column."""

    macd: Floats
    signal: Floats
    histogram: Floats


@kernel
def macd_kernel(
    values: Floats, fast: int, slow: int, signal_period: int, weights: tuple[float, float, float]
) -> tuple[Floats, Floats, Floats]:
    size = len(values)
    lines, signals, histograms = np.full(size, np.nan), np.full(size, np.nan), np.full(size, np.nan)
    fast_weight, slow_weight, signal_weight = weights
    fast_now, slow_now, signal_now = 0.0, 0.0, 0.0
    for i in range(size):
        if i < slow - 1:
            slow_now += values[i]
            fast_now += values[i] if i >= slow - fast else 0.0
            continue
        if i == slow - 1:
            slow_now = (slow_now + values[i]) / slow
            fast_now = (fast_now + values[i]) / fast
        else:
            slow_now += slow_weight * (values[i] - slow_now)
            fast_now += fast_weight * (values[i] - fast_now)
        line = fast_now - slow_now
        lines[i] = line
        seen = i - slow + 2
        if seen > signal_period:
            signal_now += signal_weight * (line - signal_now)
        else:
            signal_now += line
            if seen < signal_period:
                continue
            signal_now /= signal_period
        signals[i] = signal_now
        histograms[i] = line - signal_now
    return lines, signals, histograms


@validated
def macd(close: Column, fast: Period = 12, slow: Window = 26, signal_period: Period = 9) -> MACDColumns:
    """MACD of a column."""
    _ordered(fast, slow)

    def compute(values: Floats) -> tuple[Floats, Floats, Floats]:
        weights = ema_weight(fast), ema_weight(slow), ema_weight(signal_period)
        return macd_kernel(values, fast, slow, signal_period, weights)

    return MACDColumns(*over_valid(compute, close, outputs=3))


def _ordered(fast: int, slow: int) -> None:
    if fast >= slow:
        raise ParameterError(f"fast is {fast} and slow {slow}; expected fast below slow")
