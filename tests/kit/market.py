"""Seeded market data: sessions, conflated quotes as a feed sends them, bars."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date

from libs.contracts import OHLCVBar, Tick
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, US_PER_SECOND, day_start_us

DAY = date(2026, 2, 2)
SYMBOLS = ("ACC", "M&M", "RELIANCE", "aB", "ÅÄ")


def session(
    day: date = DAY, *, minutes: int = 40, break_minutes: int = 0, auction_minutes: int = 0, open_minute: int = 555
) -> Session:
    """A short session that opens at 09:15 IST, with a break in its middle or a closing auction when asked for."""
    start = day_start_us(day) + open_minute * US_PER_MINUTE
    end = start + minutes * US_PER_MINUTE
    spans: tuple[tuple[int, int], ...] = ((start, end),)
    if break_minutes:
        middle = start + minutes // 2 * US_PER_MINUTE
        spans = ((start, middle), (middle + break_minutes * US_PER_MINUTE, end + break_minutes * US_PER_MINUTE))
    auction = (spans[-1][1], spans[-1][1] + auction_minutes * US_PER_MINUTE) if auction_minutes else (0, 0)
    return Session("nse", day, spans, start - 15 * US_PER_MINUTE, *auction)


def conflated_feed(rng: random.Random, day: Session, *, frames: int = 1500) -> Iterator[tuple[int, Tick]]:
    """Arrival time and quote, in order of arrival: conflated trades, depth-only repeats, stray and late frames.

    Trade times run from a little before the open to a little after the close.
    """
    begin, end = day.open_us - 2 * US_PER_MINUTE, day.last_us + US_PER_MINUTE
    volume = dict.fromkeys(SYMBOLS, 0)
    price = {symbol: 100.0 + 50 * n for n, symbol in enumerate(SYMBOLS)}
    last: dict[str, Tick] = {}
    arrivals = []
    for at_us in sorted(rng.randrange(begin, end) for _ in range(frames)):
        symbol = rng.choice(SYMBOLS)
        if symbol in last and rng.random() < 0.25:
            quote = last[symbol]  # only the depth moved
        else:
            volume[symbol] += rng.choice((1, 1, 5, 80, 3000))
            price[symbol] = round(max(1.0, price[symbol] + rng.choice((-0.05, 0.0, 0.05, 0.1))), 2)
            before_us = last[symbol].timestamp_us if symbol in last else 0
            traded_us = max(before_us, (at_us - rng.randrange(0, 2 * US_PER_SECOND)) // 1000 * 1000)
            quote = Tick(symbol, traded_us, price[symbol], volume_day=volume[symbol])
            last[symbol] = quote
        delay = rng.choice((0, 0, 0, US_PER_SECOND)) if rng.random() < 0.98 else rng.randrange(3 * US_PER_MINUTE)
        arrivals.append((at_us + delay, quote))
    return iter(sorted(arrivals, key=lambda arrival: arrival[0]))


def random_bars(rng: random.Random, day: Session, symbol: str, *, density: float = 0.8) -> list[OHLCVBar]:
    """1m bars of one symbol; minutes without trade are missing."""
    bars = []
    price = 100.0
    for minute in day.minutes:
        if rng.random() < density:
            prices = [round(price + rng.uniform(-1, 1), 2) for _ in range(4)]
            price = prices[3]
            bars.append(
                OHLCVBar(symbol, "1m", minute, prices[0], max(prices), min(prices), price, rng.randrange(10_000))
            )
    return bars
