"""What an instrument looks like at one instant: the conflated snapshot a feed frame or a quote is made of."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from services.exchange_sim.market.candles import Candle, minute_candles
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.market.prices import DayPath
from services.exchange_sim.market.sessions import Session

DEPTH_LEVELS = 30


@dataclass(slots=True)
class Quote:
    """One conflated snapshot. A copy may be bent by a fault; the market itself never is.

    `volume_day` is cumulative; `day` lags it by one trade, as the broker's does. `depth` holds
    (bid quantity, bid, ask quantity, ask), best first, and is None where the broker leaves it out.
    """

    instrument: Instrument
    price: float
    trade_time_ms: int
    trade_quantity: int
    previous_close: float
    volume_day: int
    average_price: float
    day: Candle | None
    minute: Candle | None
    depth: list[tuple[int, float, int, float]] | None
    auction_price: float | None = None


class InstrumentDay:
    """One instrument's day, ready to be asked at rising or falling instants.

    The day's extremes are computed once; asking costs a binary search and a few reads.
    """

    def __init__(self, instrument: Instrument, path: DayPath, session: Session, last_trade_before_ms: int) -> None:
        self.instrument = instrument
        self.path = path
        self._session = session
        self._before_ms = last_trade_before_ms
        self._highs = np.maximum.accumulate(path.prices)
        self._lows = np.minimum.accumulate(path.prices)
        self._minutes = minute_candles(path)
        self._minute_ends = [candle.start_ms + 60_000 for candle in self._minutes]
        # One element of this array is read several times as fast as one of numpy's.
        self.times_ms = array("q", path.times_ms.tobytes())

    def last_index(self, now_ms: int) -> int:
        """Give the place of the last trade at or before an instant, -1 before the first."""
        return bisect_right(self.times_ms, now_ms) - 1

    def price(self, now_ms: int) -> float:
        """Give the last price at an instant."""
        index = self.last_index(now_ms)
        return float(self.path.prices[index]) if index >= 0 else self.path.previous_close

    def quote(self, now_ms: int, *, index: int | None = None, levels: int = 5) -> Quote:
        """Give the snapshot at an instant; `index` spares the search when the caller knows the last trade."""
        if index is None:
            index = self.last_index(now_ms)
        path = self.path
        if index < 0:
            return self._before_trading(now_ms, levels)
        price, volume = float(path.prices[index]), int(path.volume[index])
        return Quote(
            instrument=self.instrument,
            price=price,
            trade_time_ms=self.times_ms[index],
            trade_quantity=path.quantity(index),
            previous_close=path.previous_close,
            volume_day=volume,
            average_price=round(float(path.turnover[index]) / volume, 2) if volume else 0.0,
            day=self._day(index),
            minute=self.minute(now_ms),
            depth=self.depth(price, now_ms, levels),
        )

    def minute(self, now_ms: int) -> Candle | None:
        """Give the last completed minute that had a trade."""
        place = bisect_right(self._minute_ends, now_ms)
        return self._minutes[place - 1] if place else None

    def depth(self, price: float, now_ms: int, levels: int) -> list[tuple[int, float, int, float]] | None:
        """Give the book around a price: the same at the same instant, another every quarter of a second."""
        if self.instrument.is_index:
            return None
        tick = self.instrument.tick_size
        mix = (self.instrument.rank * 2_654_435_761 + now_ms // 250 * 40_503) & 0xFFFFFFFF
        typical = max(1, int(120_000 / self.instrument.price_base))
        book = []
        for level in range(levels):
            mix = (mix * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
            bid_quantity = 1 + (mix >> 8) % (typical * (level + 2))
            ask_quantity = 1 + (mix >> 16) % (typical * (level + 2))
            bid = max(tick, round(price - tick * (level + 1), 2))
            book.append((bid_quantity, bid, ask_quantity, round(price + tick * (level + 1), 2)))
        return book

    def _day(self, index: int) -> Candle:
        path = self.path
        lagged = int(path.volume[index - 1]) if index else 0
        return Candle(
            self._session.midnight_ms, float(path.prices[0]), float(self._highs[index]), float(self._lows[index]),
            float(path.prices[index]), lagged,
        )  # fmt: skip

    def _before_trading(self, now_ms: int, levels: int) -> Quote:
        auction = self._session.pre_open_ms <= now_ms < self._session.open_ms
        return Quote(
            instrument=self.instrument,
            price=self.path.previous_close,
            trade_time_ms=self._before_ms,
            trade_quantity=0,
            previous_close=self.path.previous_close,
            volume_day=0,
            average_price=0.0,
            day=None,
            minute=None,
            depth=self.depth(self.path.previous_close, now_ms, levels),
            auction_price=float(self.path.prices[0]) if auction and not self.instrument.is_index else None,
        )
