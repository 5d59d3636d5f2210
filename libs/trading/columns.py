"""Bars of the past as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from libs.contracts.market import OHLCVBar, Origin
from libs.core.money import UNITS_PER_RUPEE

#: So many rows are worked on at a time: what a core keeps near it.
ROWS_AT_A_TIME = 1 << 15


class Columns:
    """The bars of one symbol, column by column, in time order."""

    __slots__ = ("close", "high", "low", "open", "symbol", "timestamps", "volume")

    def __init__(
        self,
        symbol: str,
        timestamps: npt.NDArray[np.int64],
        open_: npt.NDArray[np.float64],
        high: npt.NDArray[np.float64],
        low: npt.NDArray[np.float64],
        close: npt.NDArray[np.float64],
        volume: npt.NDArray[np.int64],
    ) -> None:
        self.symbol = symbol
        self.timestamps = timestamps
        self.open, self.high, self.low, self.close, self.volume = open_, high, low, close, volume

    def __len__(self) -> int:
        return len(self.timestamps)

    def part(self, start: int, end: int) -> Columns:
        """Give the rows from start up to end; nothing is copied."""
        rows = slice(start, end)
        return Columns(
            self.symbol, self.timestamps[rows], self.open[rows], self.high[rows], self.low[rows], self.close[rows],
            self.volume[rows],
        )  # fmt: skip

    def bars(self, timeframe: str, exchange: str) -> list[OHLCVBar]:
        """Make the bars of the rows."""
        symbol, origin = self.symbol, Origin.IMPORT
        columns = (self.timestamps, self.open, self.high, self.low, self.close, self.volume)
        return [
            OHLCVBar(symbol, timeframe, at_us, o, h, low, c, v, exchange, origin)
            for at_us, o, h, low, c, v in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def bar(self, row: int, timeframe: str, exchange: str) -> OHLCVBar:
        """Make the bar of one row."""
        return OHLCVBar(
            self.symbol, timeframe, self.timestamps.item(row), self.open.item(row), self.high.item(row),
            self.low.item(row), self.close.item(row), self.volume.item(row), exchange, Origin.IMPORT,
        )  # fmt: skip

    def by_name(self) -> dict[str, npt.NDArray[Any]]:
        """Give the columns as indicators read them."""
        return {
            "timestamp": self.timestamps, "timestamp_us": self.timestamps, "open": self.open, "high": self.high,
            "low": self.low, "close": self.close, "volume": self.volume,
        }  # fmt: skip

    def joined(self, later: Columns) -> Columns:
        """Put later bars of the symbol behind these."""
        return Columns(
            self.symbol,
            *(np.concatenate([getattr(self, name), getattr(later, name)]) for name in _COLUMNS),
        )


def units_of(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Give prices in ten-thousandths of a rupee."""
    found = np.empty(len(prices), dtype=np.int64)
    for start in range(0, len(prices), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        found[rows] = np.rint(prices[rows] * UNITS_PER_RUPEE)
    return found


_COLUMNS = ("timestamps", "open", "high", "low", "close", "volume")
