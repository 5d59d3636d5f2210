"""A bar that is still being built."""

from __future__ import annotations

import msgspec

from libs.contracts.market import OHLCVBar, Origin


class OpenBar(msgspec.Struct):
    """Figures of one interval so far. `first_us` and `last_us` are the trade times open and close come from."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    first_us: int
    last_us: int

    def trade(self, at_us: int, price: float, volume: int) -> None:
        """Count a trade. Open and close follow trade time, and arrival where two trades share an instant."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        if at_us >= self.last_us:
            self.close = price
            self.last_us = at_us
        elif at_us < self.first_us:
            self.open = price
            self.first_us = at_us
        self.volume += volume

    def append(self, bar: OHLCVBar) -> None:
        """Lengthen by a bar of a shorter timeframe, whenever it comes; open and close follow the time it is of."""
        self.high = max(self.high, bar.high)
        self.low = min(self.low, bar.low)
        self.volume += bar.volume
        if bar.timestamp_us >= self.last_us:
            self.close, self.last_us = bar.close, bar.timestamp_us
        elif bar.timestamp_us < self.first_us:
            self.open, self.first_us = bar.open, bar.timestamp_us

    def closed(
        self, symbol: str, timeframe: str, start_us: int, exchange: str, origin: Origin = Origin.LIVE
    ) -> OHLCVBar:
        """Give the finished bar."""
        return OHLCVBar(
            symbol, timeframe, start_us, self.open, self.high, self.low, self.close, self.volume, exchange, origin
        )


def begin(bar: OHLCVBar) -> OpenBar:
    """Begin a longer bar with its first shorter one."""
    return OpenBar(bar.open, bar.high, bar.low, bar.close, bar.volume, bar.timestamp_us, bar.timestamp_us)
