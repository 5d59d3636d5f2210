"""Least squares: the line through the last closes, its slope, and a channel around it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from libs.indicators.base import NAN, Indicator
from libs.indicators.columns import Column, Floats, kernel, over_valid
from libs.indicators.parameters import Multiplier, Window, validated


class LinearRegressionSlope(Indicator):
    """Slope per bar of the line fitted to the last `period` values; `line` is where it ends.

    The sums slide, relative to the first value of the window they were last made from, and are made anew once a window.
    """

    outputs = ("slope", "line")

    def __init__(self, period: Window = 14) -> None:
        self.period = period
        self._ring = [0.0] * period
        self._at = 0
        self._base = 0.0
        self._sum = 0.0
        self._weighted = 0.0
        self._full = False
        self.slope = self.line = NAN

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        if item - item:
            return NAN
        ring, at, period = self._ring, self._at, self.period
        leaving = ring[at] - self._base
        ring[at] = item
        self._at = at = at + 1
        if at == period:
            self._at = 0
            self._full = True
            self._renew()
        elif self._full:
            entering = item - self._base
            self._weighted += (period - 1) * entering - (self._sum - leaving)
            self._sum += entering - leaving
        else:
            return NAN
        middle = (period - 1) / 2.0
        spread = period * (period * period - 1) / 12.0
        self.slope = self.value = (self._weighted - middle * self._sum) / spread
        self.line = self._base + self._sum / period + self.slope * middle
        return self.value

    def window(self) -> list[float]:
        """The values the line is fitted to, oldest first."""
        return self._ring[self._at :] + self._ring[: self._at]

    def _renew(self) -> None:
        self._base = base = self._ring[0]
        total, weighted, weight = 0.0, 0.0, 0.0
        for held in self._ring:
            total += held - base
            weighted += weight * (held - base)
            weight += 1.0
        self._sum, self._weighted = total, weighted


class LinearRegressionChannel(Indicator):
    """The line's end with a channel of `multiplier` standard deviations of the closes around the line."""

    outputs = ("line", "upper", "lower", "slope")

    def __init__(self, period: Window = 50, multiplier: Multiplier = 2.0) -> None:
        self.period = period
        self.multiplier = multiplier
        self._slope = LinearRegressionSlope(period)
        self.line = self.upper = self.lower = self.slope = NAN

    @property
    def bars_needed(self) -> int:
        return self.period

    def update(self, item: float) -> float:
        slope = self._slope.update(item)
        if math.isnan(slope):
            return NAN
        self.slope = slope
        self.line = self.value = line = self._slope.line
        squares = 0.0
        bars_ago = self.period - 1.0
        for held in self._slope.window():
            residual = held - (line - slope * bars_ago)
            squares += residual * residual
            bars_ago -= 1.0
        width = self.multiplier * math.sqrt(squares / self.period)
        self.upper, self.lower = line + width, line - width
        return self.value


class SlopeColumns(NamedTuple):
    """The fitted line over a column."""

    slope: Floats
    line: Floats


class ChannelColumns(NamedTuple):
    """The regression channel over a column."""

    line: Floats
    upper: Floats
    lower: Floats
    slope: Floats


@kernel
def regression_kernel(values: Floats, period: int) -> tuple[Floats, Floats]:
    slopes, lines = np.full(len(values), np.nan), np.full(len(values), np.nan)
    middle = (period - 1) / 2.0
    spread = period * (period * period - 1) / 12.0
    base, total, weighted = 0.0, 0.0, 0.0
    at = 0
    for i in range(len(values)):
        at += 1
        if at == period:
            at = 0
            base = values[i - period + 1]
            total, weighted, weight = 0.0, 0.0, 0.0
            for j in range(i - period + 1, i + 1):
                total += values[j] - base
                weighted += weight * (values[j] - base)
                weight += 1.0
        elif i >= period:
            entering, leaving = values[i] - base, values[i - period] - base
            weighted += (period - 1) * entering - (total - leaving)
            total += entering - leaving
        if i >= period - 1:
            slopes[i] = (weighted - middle * total) / spread
            lines[i] = base + total / period + slopes[i] * middle
    return slopes, lines


@kernel
def residual_kernel(values: Floats, slopes: Floats, lines: Floats, period: int) -> Floats:
    """Give the standard deviation around each window's line."""
    out = np.full(len(values), np.nan)
    for i in range(period - 1, len(values)):
        squares = 0.0
        bars_ago = period - 1.0
        for j in range(i - period + 1, i + 1):
            residual = values[j] - (lines[i] - slopes[i] * bars_ago)
            squares += residual * residual
            bars_ago -= 1.0
        out[i] = np.sqrt(squares / period)
    return out


@validated
def linear_regression_slope(close: Column, period: Window = 14) -> SlopeColumns:
    """Slope and end of the fitted line over a column."""
    return SlopeColumns(*over_valid(lambda values: regression_kernel(values, period), close, outputs=2))


@validated
def linear_regression_channel(close: Column, period: Window = 50, multiplier: Multiplier = 2.0) -> ChannelColumns:
    """Regression channel over a column."""

    def compute(values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        slopes, lines = regression_kernel(values, period)
        width = multiplier * residual_kernel(values, slopes, lines, period)
        return lines, lines + width, lines - width, slopes

    return ChannelColumns(*over_valid(compute, close, outputs=4))
