"""Levels of the trading day: pivots from the day before, the opening range of today."""

from __future__ import annotations

from math import inf
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta

from libs.indicators.base import NAN, BarLike, Indicator
from libs.indicators.columns import (
    Column,
    Floats,
    Integers,
    kernel,
    minute_of_day,
    minutes_of_day,
    over_valid,
    session_day,
    session_days,
)
from libs.indicators.parameters import validated

Minutes = Annotated[int, Meta(ge=1, le=375)]
MinuteOfDay = Annotated[int, Meta(ge=0, le=1439)]
#: The National Stock Exchange opens at 09:15 IST.
NSE_OPEN_MINUTE = 9 * 60 + 15


class Pivots(Indicator):
    """Classic floor pivots from the high, low and close of the date before; NaN on the first date."""

    inputs = ("high", "low", "close", "timestamp_us")
    outputs = ("pivot", "r1", "s1", "r2", "s2")

    def __init__(self) -> None:
        self._day = -1
        self._high = self._low = self._close = NAN
        self.pivot = self.r1 = self.s1 = self.r2 = self.s2 = NAN

    @property
    def bars_needed(self) -> int:
        """One date and a bar; how many bars a date has depends on the timeframe, 376 is a full date of minutes."""
        return 376

    def update(self, item: BarLike) -> float:
        high, low, close = item.high, item.low, item.close
        if high - high or low - low or close - close:
            return NAN
        day = session_day(item.timestamp_us)
        if day != self._day:
            if self._day >= 0:
                self._levels()
            self._day = day
            self._high, self._low = high, low
        else:
            self._high = max(self._high, high)
            self._low = min(self._low, low)
        self._close = close
        return self.value

    def _levels(self) -> None:
        high, low = self._high, self._low
        self.pivot = self.value = pivot = (high + low + self._close) / 3.0
        self.r1, self.s1 = 2.0 * pivot - low, 2.0 * pivot - high
        self.r2, self.s2 = pivot + (high - low), pivot - (high - low)


class OpeningRange(Indicator):
    """High and low of the first `minutes` after the open; known from the first bar stamped at or after their end.

    A date without a bar in those minutes (a late start, an evening session) has no range: NaN all day.
    """

    inputs = ("high", "low", "timestamp_us")
    outputs = ("upper", "lower")

    def __init__(self, minutes: Minutes = 15, open_minute: MinuteOfDay = NSE_OPEN_MINUTE) -> None:
        self.minutes = minutes
        self.open_minute = open_minute
        self._day = -1
        self._high, self._low = -inf, inf
        self.upper = self.lower = NAN

    @property
    def bars_needed(self) -> int:
        """As many as the range has minutes, and one: fewer on longer bars."""
        return self.minutes + 1

    def update(self, item: BarLike) -> float:
        high, low = item.high, item.low
        if high - high or low - low:
            return NAN
        day = session_day(item.timestamp_us)
        if day != self._day:
            self._day = day
            self._high, self._low = -inf, inf
            self.upper = self.lower = self.value = NAN
        minute = minute_of_day(item.timestamp_us) - self.open_minute
        if 0 <= minute < self.minutes:
            self._high = max(self._high, high)
            self._low = min(self._low, low)
        elif minute >= self.minutes and self._high > -inf:
            self.upper = self.value = self._high
            self.lower = self._low
        return self.value


class PivotColumns(NamedTuple):
    """Pivots over columns."""

    pivot: Floats
    r1: Floats
    s1: Floats
    r2: Floats
    s2: Floats


class OpeningRangeColumns(NamedTuple):
    """The opening range over columns."""

    upper: Floats
    lower: Floats


@kernel
def day_before_kernel(highs: Floats, lows: Floats, closes: Floats, days: Integers) -> tuple[Floats, Floats, Floats]:
    """Give the high, low and close of the date before, on every row."""
    size = len(closes)
    out_high, out_low, out_close = np.full(size, np.nan), np.full(size, np.nan), np.full(size, np.nan)
    high, low = 0.0, 0.0
    past_high, past_low, past_close = np.nan, np.nan, np.nan
    for i in range(size):
        if i == 0 or days[i] != days[i - 1]:
            if i > 0:
                past_high, past_low, past_close = high, low, closes[i - 1]
            high, low = highs[i], lows[i]
        else:
            high, low = max(high, highs[i]), min(low, lows[i])
        out_high[i], out_low[i], out_close[i] = past_high, past_low, past_close
    return out_high, out_low, out_close


@kernel
def opening_range_kernel(
    highs: Floats, lows: Floats, days: Integers, minutes_in: Integers, length: int
) -> tuple[Floats, Floats]:
    uppers, lowers = np.full(len(highs), np.nan), np.full(len(highs), np.nan)
    high, low = -np.inf, np.inf
    for i in range(len(highs)):
        if i == 0 or days[i] != days[i - 1]:
            high, low = -np.inf, np.inf
        if 0 <= minutes_in[i] < length:
            high, low = max(high, highs[i]), min(low, lows[i])
        elif minutes_in[i] >= length and high > -np.inf:
            uppers[i], lowers[i] = high, low
    return uppers, lowers


@validated
def pivots(high: Column, low: Column, close: Column, timestamp_us: Column) -> PivotColumns:
    """Pivots over columns of one symbol in time order."""

    def compute(highs: Floats, lows: Floats, closes: Floats, times: Integers) -> tuple[Floats, ...]:
        top, bottom, last = day_before_kernel(highs, lows, closes, session_days(times))
        pivot = (top + bottom + last) / 3.0
        spread = top - bottom
        return pivot, 2.0 * pivot - bottom, 2.0 * pivot - top, pivot + spread, pivot - spread

    return PivotColumns(*over_valid(compute, high, low, close, timestamps=timestamp_us, outputs=5))


@validated
def opening_range(
    high: Column,
    low: Column,
    timestamp_us: Column,
    minutes: Minutes = 15,
    open_minute: MinuteOfDay = NSE_OPEN_MINUTE,
) -> OpeningRangeColumns:
    """Opening range over columns of one symbol in time order."""

    def compute(highs: Floats, lows: Floats, times: Integers) -> tuple[Floats, Floats]:
        return opening_range_kernel(highs, lows, session_days(times), minutes_of_day(times) - open_minute, minutes)

    return OpeningRangeColumns(*over_valid(compute, high, low, timestamps=timestamp_us, outputs=2))
