"""A day of ticks as an ingestor captures it from the simulator: conflated, in order of arrival, quotes come again."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from libs.bars import BarAggregator
from libs.calendar import Calendar
from libs.contracts import OHLCVBar, Tick
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, US_PER_SECOND
from services.exchange_sim.market.instruments import Listing
from services.exchange_sim.market.prices import PriceProcess
from services.exchange_sim.market.sessions import TradingDays
from tests.kit.market_days import close_day

_WINDOW_US = US_PER_SECOND // 2
_GRACE_US = 2 * US_PER_SECOND
#: So often a window in which a symbol did not trade brings its last tick again, with other quotes.
_AGAIN = 0.2


def capture_days(root: Path, days: list[date], *, count: int, keep: Callable[[Tick], bool] = lambda _: True) -> None:
    """Close ticks and candles of so many shares; `keep`: what was captured of what traded."""
    listing = Listing(count, seed=7)
    prices = PriceProcess(listing, TradingDays({}), seed=7)
    for day in days:
        session = Calendar.load("nse").session(day)
        assert session is not None
        bars = BarAggregator(session, grace_us=_GRACE_US)
        bars.on_connect(session.open_us - US_PER_MINUTE)
        ticks, candles = [], []
        for now_us, found in _windows(listing, prices, session):
            for tick in filter(keep, found):
                volume = bars.on_tick(tick)[1]
                ticks.append(
                    {"symbol": tick.symbol, "timestamp": tick.timestamp_us, "price": tick.price, "volume": volume,
                     "bid": tick.bid, "ask": tick.ask, "volume_day": tick.volume_day, "seq": len(ticks) + 1}
                )  # fmt: skip
            candles += _closed(bars, now_us)
        candles += _closed(bars, session.last_us + _GRACE_US)
        close_day(root, day, candles)
        close_day(root, day, ticks, timeframe=None)


def _windows(listing: Listing, prices: PriceProcess, session: Session) -> Iterator[tuple[int, list[Tick]]]:
    """Give the end of each window, and the last trade of each symbol in it, in no order of theirs."""
    rng = random.Random(7)
    last: dict[str, Tick] = {}
    paths = [(each, prices.path(each, session.date)) for each in listing.instruments if not each.is_index]
    for end_us in range(session.open_us + _WINDOW_US, session.last_us + 1, _WINDOW_US):
        found = []
        for instrument, path in paths:
            index = path.last_index(end_us // 1000 - 1)
            at_us, half = int(path.times_ms[index]) * 1000, instrument.tick_size * rng.randint(1, 3)
            before = last.get(instrument.symbol)
            if index < 0 or (before is not None and at_us == before.timestamp_us and rng.random() > _AGAIN):
                continue
            price = float(path.prices[index])
            found.append(
                Tick(instrument.symbol, at_us, price, 0, round(price - half, 2), round(price + half, 2),
                     int(path.volume[index]))
            )  # fmt: skip
            last[instrument.symbol] = found[-1]
        yield end_us, rng.sample(found, len(found))


def _closed(bars: BarAggregator, now_us: int) -> Iterator[dict[str, object]]:
    for bar in bars.advance(now_us):
        if isinstance(bar, OHLCVBar) and bar.timeframe == "1m":
            names = ("symbol", "timeframe", "open", "high", "low", "close", "volume")
            yield {name: getattr(bar, name) for name in names} | {"timestamp": bar.timestamp_us}
