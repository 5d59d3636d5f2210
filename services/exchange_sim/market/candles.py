"""Candles of the simulated market, made from the same trades the feed shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

import numpy as np

from services.exchange_sim.market.prices import DayPath
from services.exchange_sim.market.sessions import MS_PER_MINUTE, SESSION_MINUTES, date_of, midnight_ms


@dataclass(frozen=True)
class Candle:
    """Open, high, low, close and volume from `start_ms` on."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int


def minute_candles(path: DayPath, until_ms: int | None = None) -> list[Candle]:
    """Give the day's minutes that are complete at an instant; a minute without a trade has no candle."""
    first = midnight_ms(path.day) + 555 * MS_PER_MINUTE
    minutes = (path.times_ms - first) // MS_PER_MINUTE
    complete = (
        SESSION_MINUTES if until_ms is None else min(SESSION_MINUTES, max(0, (until_ms - first) // MS_PER_MINUTE))
    )
    end = int(np.searchsorted(minutes, complete, side="left"))
    if end == 0:
        return []
    minutes = minutes[:end]
    starts = np.flatnonzero(np.diff(minutes, prepend=-1))
    last = np.append(starts[1:], end) - 1
    prices = path.prices[:end]
    volumes = np.diff(path.volume[last], prepend=0)
    highs, lows = np.maximum.reduceat(prices, starts), np.minimum.reduceat(prices, starts)
    columns = (
        first + minutes[starts] * MS_PER_MINUTE, prices[starts], highs, lows, prices[last], volumes,
    )  # fmt: skip
    return [Candle(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def day_candle(path: DayPath, until_ms: int | None = None) -> Candle | None:
    """Give the day so far as one candle, stamped with midnight IST; None before the first trade."""
    end = len(path.times_ms) if until_ms is None else path.last_index(until_ms) + 1
    if end == 0:
        return None
    prices = path.prices[:end]
    return Candle(
        midnight_ms(path.day), float(prices[0]), float(prices.max()), float(prices.min()), float(prices[-1]),
        int(path.volume[end - 1]),
    )  # fmt: skip


def resample_minutes(candles: Sequence[Candle], minutes: int) -> list[Candle]:
    """Join one day's minutes to longer ones, counted from the opening of the session."""
    if minutes == 1 or not candles:
        return list(candles)
    opening = midnight_ms(_day(candles[0])) + 555 * MS_PER_MINUTE
    width = minutes * MS_PER_MINUTE
    return _join(candles, lambda candle: opening + (candle.start_ms - opening) // width * width)


def resample_days(candles: Sequence[Candle], unit: str) -> list[Candle]:
    """Join days to weeks (from Monday) or months, stamped with the first date of the period."""

    def start(candle: Candle) -> int:
        day = _day(candle)
        first = day - timedelta(days=day.weekday()) if unit == "weeks" else day.replace(day=1)
        return midnight_ms(first)

    return _join(candles, start)


def _day(candle: Candle) -> date:
    return date_of(candle.start_ms)


def _join(candles: Sequence[Candle], start_of: Callable[[Candle], int]) -> list[Candle]:
    joined = []
    for start_ms, group in groupby(candles, start_of):
        parts = list(group)
        joined.append(
            Candle(
                start_ms,
                parts[0].open,
                max(part.high for part in parts),
                min(part.low for part in parts),
                parts[-1].close,
                sum(part.volume for part in parts),
            )
        )
    return joined
