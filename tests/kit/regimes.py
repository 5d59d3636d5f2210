"""A seeded market: minute bars of several symbols with trends, ranges, bursts, overnight gaps and missing minutes."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby

from libs.contracts import OHLCVBar, Origin
from libs.core.clock import US_PER_MINUTE, day_start_us

OPEN_MINUTE = 9 * 60 + 15
SESSION_MINUTES = 375
TICK = 0.05
#: Drift a minute, pull back to the regime's first price, noise: as shares of the price.
REGIMES = {
    "rise": (0.00025, 0.0, 0.0004),
    "fall": (-0.00025, 0.0, 0.0004),
    "range": (0.0, 0.08, 0.0006),
    "burst": (0.0, 0.0, 0.0016),
    "calm": (0.0, 0.05, 0.00015),
}


def trading_days(first: date, count: int) -> list[date]:
    """Name the weekdays from the first on; holidays are no concern of a synthetic market."""
    days: list[date] = []
    day = first
    while len(days) < count:
        if day.weekday() < 5:
            days.append(day)
        day += timedelta(days=1)
    return days


def market(
    symbols: Sequence[str] = ("ALFA", "BETA", "GAMMA"),
    *,
    first: date = date(2026, 2, 2),
    days: int = 1,
    seed: int = 7,
    missing: float = 0.01,
) -> list[OHLCVBar]:
    """Make minute bars of all symbols in the order a bus gives them: by minute, then by symbol.

    `missing` is the share of minutes in which a symbol did not trade.
    """
    bars = [bar for symbol in symbols for bar in _symbol(symbol, trading_days(first, days), seed, missing)]
    return sorted(bars, key=lambda bar: (bar.timestamp_us, bar.symbol))


def minutes(bars: Sequence[OHLCVBar]) -> Iterator[list[OHLCVBar]]:
    """Give the bars minute by minute."""
    for _, group in groupby(bars, key=lambda bar: bar.timestamp_us):
        yield list(group)


def _symbol(symbol: str, days: Sequence[date], seed: int, missing: float) -> Iterator[OHLCVBar]:
    chance = random.Random(f"{seed}/{symbol}")
    price = chance.uniform(80.0, 3000.0)
    for day in days:
        price *= 1.0 + chance.gauss(0.0, 0.006)  # overnight
        start_us = day_start_us(day) + OPEN_MINUTE * US_PER_MINUTE
        regime, anchor, left = "calm", price, 0
        for minute in range(SESSION_MINUTES):
            if left == 0:
                regime, anchor, left = chance.choice(list(REGIMES)), price, chance.randint(20, 90)
            left -= 1
            path = _path(chance, price, anchor, regime)
            price = path[-1]
            if chance.random() >= missing:
                yield _bar(symbol, start_us + minute * US_PER_MINUTE, path, _volume(chance, minute, regime))


def _path(chance: random.Random, price: float, anchor: float, regime: str) -> list[float]:
    drift, pull, noise = REGIMES[regime]
    path = [price]
    for _ in range(4):
        step = drift / 4 + pull / 4 * (anchor - path[-1]) / path[-1] + chance.gauss(0.0, noise / 2)
        path.append(path[-1] * (1.0 + step))
    return path


def _volume(chance: random.Random, minute: int, regime: str) -> int:
    # Busy at the open and the close, busier when the price runs.
    shape = 1.0 + 2.0 * math.cos(math.pi * minute / SESSION_MINUTES) ** 2
    return int(1000 * shape * (3.0 if regime == "burst" else 1.0) * chance.lognormvariate(0.0, 0.5))


def _bar(symbol: str, timestamp_us: int, path: list[float], volume: int) -> OHLCVBar:
    prices = [round(round(price / TICK) * TICK, 2) for price in path]
    return OHLCVBar(
        symbol, "1m", timestamp_us, prices[0], max(prices), min(prices), prices[-1], volume, origin=Origin.SYNTHETIC
    )
