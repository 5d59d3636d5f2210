"""Volume: session VWAP, OBV, MFI."""

from __future__ import annotations

from math import isnan

import numpy as np

from libs.indicators.base import NAN, BarLike, Indicator
from libs.indicators.columns import Column, Floats, Integers, kernel, over_valid, session_day, session_days
from libs.indicators.parameters import Period, validated


class VWAP(Indicator):
    """Volume-weighted average of the typical price since the first bar of the exchange's date; NaN until volume."""

    inputs = ("high", "low", "close", "volume", "timestamp_us")
    outputs = ("value",)

    def __init__(self) -> None:
        self._day = -1
        self._money = 0.0
        self._volume = 0.0

    @property
    def bars_needed(self) -> int:
        return 1

    def update(self, item: BarLike) -> float:
        volume = item.volume
        money = (item.high + item.low + item.close) / 3.0 * volume
        if money - money or volume - volume:
            return NAN
        day = session_day(item.timestamp_us)
        if day != self._day:
            self._day = day
            self._money = self._volume = 0.0
            self.value = NAN
        self._money += money
        self._volume += volume
        if self._volume > 0.0:
            self.value = self._money / self._volume
        return self.value


class OBV(Indicator):
    """On-balance volume: volume added on a rise and taken off on a fall, starting with the first bar's own."""

    inputs = ("close", "volume")

    def __init__(self) -> None:
        self._close = NAN

    @property
    def bars_needed(self) -> int:
        return 1

    def update(self, item: BarLike) -> float:
        close, volume = item.close, item.volume
        if close - close or volume - volume:
            return NAN
        if isnan(self._close):  # the first bar
            self.value = float(volume)
        elif close > self._close:
            self.value += volume
        elif close < self._close:
            self.value -= volume
        self._close = close
        return self.value


class MFI(Indicator):
    """Money flow index, 0 to 100: the share of rising typical prices in what was traded over `period` bars.

    Where no money flowed it is 50 (TA-Lib says 0, also for flows below one rupee).
    """

    inputs = ("high", "low", "close", "volume")

    def __init__(self, period: Period = 14) -> None:
        self.period = period
        self._typical = NAN
        self._up = [0.0] * period
        self._down = [0.0] * period
        self._at = 0
        self._up_sum = 0.0
        self._down_sum = 0.0
        self._full = False

    @property
    def bars_needed(self) -> int:
        return self.period + 1

    def update(self, item: BarLike) -> float:
        typical = (item.high + item.low + item.close) / 3.0
        flow = typical * item.volume
        if flow - flow or typical - typical:
            return NAN
        before, self._typical = self._typical, typical
        if isnan(before):  # the first bar
            return NAN
        up = flow if typical > before else 0.0
        down = flow if typical < before else 0.0
        at = self._at
        self._up_sum += up - self._up[at]
        self._down_sum += down - self._down[at]
        self._up[at], self._down[at] = up, down
        self._at = at + 1
        if self._at == self.period:
            self._at = 0
            self._full = True
            self._up_sum = self._down_sum = 0.0
            for gained, lost in zip(self._up, self._down, strict=True):
                self._up_sum += gained
                self._down_sum += lost
        if not self._full:
            return NAN
        total = self._up_sum + self._down_sum
        self.value = 100.0 * self._up_sum / total if total > 0.0 else 50.0
        return self.value


@kernel
def vwap_kernel(money: Floats, volumes: Floats, days: Integers) -> Floats:
    out = np.full(len(money), np.nan)
    money_sum, volume_sum = 0.0, 0.0
    for i in range(len(money)):
        if i == 0 or days[i] != days[i - 1]:
            money_sum, volume_sum = 0.0, 0.0
        money_sum += money[i]
        volume_sum += volumes[i]
        if volume_sum > 0.0:
            out[i] = money_sum / volume_sum
    return out


@kernel
def obv_kernel(closes: Floats, volumes: Floats) -> Floats:
    out = np.empty(len(closes))
    total, before = 0.0, -np.inf
    for i in range(len(closes)):
        if closes[i] > before:
            total += volumes[i]
        elif closes[i] < before:
            total -= volumes[i]
        before = closes[i]
        out[i] = total
    return out


@kernel
def mfi_kernel(highs: Floats, lows: Floats, closes: Floats, volumes: Floats, period: int) -> Floats:
    size = len(closes)
    out = np.full(size, np.nan)
    up, down = np.zeros(size), np.zeros(size)
    up_sum, down_sum, before = 0.0, 0.0, np.nan
    at = -1
    for i in range(size):
        typical = (highs[i] + lows[i] + closes[i]) / 3.0
        if typical > before:
            up[i] = typical * volumes[i]
        elif typical < before:
            down[i] = typical * volumes[i]
        before = typical
        leaving = i > period
        up_sum += up[i] - (up[i - period] if leaving else 0.0)
        down_sum += down[i] - (down[i - period] if leaving else 0.0)
        at += 1
        if at == period:
            at = 0
            up_sum, down_sum = 0.0, 0.0
            for j in range(i - period + 1, i + 1):
                up_sum += up[j]
                down_sum += down[j]
        if i >= period:
            total = up_sum + down_sum
            out[i] = 100.0 * up_sum / total if total > 0.0 else 50.0
    return out


@validated
def vwap(high: Column, low: Column, close: Column, volume: Column, timestamp_us: Column) -> Floats:
    """Session VWAP over columns of one symbol in time order."""

    def compute(highs: Floats, lows: Floats, closes: Floats, volumes: Floats, times: Integers) -> Floats:
        return vwap_kernel((highs + lows + closes) / 3.0 * volumes, volumes, session_days(times))

    columns: Floats = over_valid(compute, high, low, close, volume, timestamps=timestamp_us)
    return columns


@validated
def obv(close: Column, volume: Column) -> Floats:
    """On-balance volume over columns."""
    columns: Floats = over_valid(obv_kernel, close, volume)
    return columns


@validated
def mfi(high: Column, low: Column, close: Column, volume: Column, period: Period = 14) -> Floats:
    """Money flow index over columns."""

    def compute(highs: Floats, lows: Floats, closes: Floats, volumes: Floats) -> Floats:
        return mfi_kernel(highs, lows, closes, volumes, period)

    columns: Floats = over_valid(compute, high, low, close, volume)
    return columns
