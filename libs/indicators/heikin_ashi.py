"""Heikin-Ashi candles."""

from __future__ import annotations

from math import isnan
from typing import NamedTuple

import numpy as np

from libs.indicators.base import NAN, BarLike, Indicator
from libs.indicators.columns import Column, Floats, kernel, over_valid
from libs.indicators.parameters import validated


class HeikinAshi(Indicator):
    """Averaged candles: each opens in the middle of the one before and closes at the mean of the bar's four prices."""

    inputs = ("open", "high", "low", "close")
    outputs = ("close", "open", "high", "low")

    def __init__(self) -> None:
        self.open = self.high = self.low = self.close = NAN

    @property
    def bars_needed(self) -> int:
        return 1

    def update(self, item: BarLike) -> float:
        first, high, low, last = item.open, item.high, item.low, item.close
        close = (first + high + low + last) / 4.0
        if close - close:
            return NAN
        is_first = isnan(self.close)
        self.open = (first + last) / 2.0 if is_first else (self.open + self.close) / 2.0
        self.close = self.value = close
        self.high = max(high, self.open, close)
        self.low = min(low, self.open, close)
        return close


class HeikinAshiColumns(NamedTuple):
    """Heikin-Ashi candles over columns."""

    close: Floats
    open: Floats
    high: Floats
    low: Floats


@kernel
def heikin_ashi_open_kernel(opens: Floats, closes: Floats, averaged: Floats) -> Floats:
    out = np.empty(len(opens))
    for i in range(len(opens)):
        out[i] = (opens[i] + closes[i]) / 2.0 if i == 0 else (out[i - 1] + averaged[i - 1]) / 2.0
    return out


@validated
def heikin_ashi(open: Column, high: Column, low: Column, close: Column) -> HeikinAshiColumns:  # noqa: A002 - the column's name
    """Heikin-Ashi candles over columns."""

    def compute(opens: Floats, highs: Floats, lows: Floats, closes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        averaged = (opens + highs + lows + closes) / 4.0
        opened = heikin_ashi_open_kernel(opens, closes, averaged)
        top, bottom = np.maximum(opened, averaged), np.minimum(opened, averaged)
        return averaged, opened, np.maximum(highs, top), np.minimum(lows, bottom)

    return HeikinAshiColumns(*over_valid(compute, open, high, low, close, outputs=4))
