"""The seeded price process: every trade of a day as a pure function of seed, instrument and date.

Closes of days follow a reflected random walk, so that a date's price needs no other day's trades. Within a day a
Brownian bridge leads from an opening gap to the close; minutes share the index's moves; volume and volatility are
U-shaped. Market time alone decides what has happened, whatever the machine's time or the clock's speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.exchange_sim.market.instruments import Instrument, Listing
from services.exchange_sim.market.sessions import MS_PER_MINUTE, SESSION_MINUTES, TradingDays, midnight_ms

_FIRST_DAY = date(1999, 12, 27)
_WEEKDAYS = 12_000
_DAILY_VOLATILITY = 0.013
_INDEX_VOLATILITY = 0.008
_LOG_RANGE = 0.7
_CIRCUIT = 0.10

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class DayPath:
    """All trades of one instrument on one day, ascending in time; the index has no volume."""

    day: date
    previous_close: float
    times_ms: Ints
    prices: Floats
    volume: Ints
    turnover: Floats

    @property
    def circuit_lower(self) -> float:
        """No trade below this today."""
        return round(self.previous_close * (1 - _CIRCUIT), 2)

    @property
    def circuit_upper(self) -> float:
        """No trade above this today."""
        return round(self.previous_close * (1 + _CIRCUIT), 2)

    def last_index(self, now_ms: int) -> int:
        """Give the place of the last trade at or before an instant, -1 before the first."""
        return int(np.searchsorted(self.times_ms, now_ms, side="right")) - 1

    def quantity(self, index: int) -> int:
        """Give how many shares one trade moved."""
        return int(self.volume[index] - (self.volume[index - 1] if index else 0))


class PriceProcess:
    """Makes day paths, and keeps the ones in use."""

    def __init__(self, listing: Listing, days: TradingDays, seed: int) -> None:
        self._listing = listing
        self._days = days
        self._seed = seed
        self._weights = _u_shape(SESSION_MINUTES)
        # Today's and yesterday's of every instrument stay; the rest of the room is for history queries.
        self._paths = lru_cache(maxsize=2 * len(listing.instruments) + 256)(self._make_path)
        self._closes = lru_cache(maxsize=len(listing.instruments))(self._make_closes)
        self._index_minutes = lru_cache(maxsize=512)(self._make_index_minutes)

    def path(self, instrument: Instrument, day: date) -> DayPath:
        """Give the day's trades; the same arguments always give the same trades."""
        return self._paths(instrument, day)

    def close(self, instrument: Instrument, day: date) -> float:
        """Give the closing price of a trading day."""
        return instrument.round_price(float(self._closes(instrument)[_weekday_number(day)]))

    def _rng(self, *parts: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *parts])

    def _make_closes(self, instrument: Instrument) -> Floats:
        index_moves = self._rng(1, self._listing.index.rank).normal(0.0, _INDEX_VOLATILITY, _WEEKDAYS)
        moves = index_moves
        if not instrument.is_index:
            own = np.sqrt(_DAILY_VOLATILITY**2 - _INDEX_VOLATILITY**2)
            moves = index_moves + self._rng(1, instrument.rank).normal(0.0, own, _WEEKDAYS)
        moves = np.clip(moves, -0.06, 0.06)
        walk = np.cumsum(moves) + self._rng(2, instrument.rank).uniform(-0.3, 0.3)
        folded = np.abs((walk + _LOG_RANGE) % (4 * _LOG_RANGE) - 2 * _LOG_RANGE) - _LOG_RANGE
        return np.asarray(instrument.price_base * np.exp(folded), dtype=np.float64)

    def _make_index_minutes(self, day: date) -> Floats:
        return self._rng(3, self._listing.index.rank, day.toordinal()).normal(0.0, 1.0, SESSION_MINUTES)

    def _make_path(self, instrument: Instrument, day: date) -> DayPath:
        rng = self._rng(4, instrument.rank, day.toordinal())
        previous = self.close(instrument, self._days.previous(day))
        close = self.close(instrument, day)
        gap = float(np.clip(rng.normal(0.0, 0.004), -0.02, 0.02))
        opening = instrument.round_price(previous * (1 + gap))
        boundaries = self._minute_boundaries(instrument, day, opening, close, rng)
        times = self._trade_times(instrument, rng)
        wobble = instrument.tick_size * rng.choice([-1.0, 0.0, 0.0, 1.0], len(times))
        prices = np.interp(times, np.arange(SESSION_MINUTES + 1) * MS_PER_MINUTE, boundaries) + wobble
        prices[0], prices[-1] = opening, close
        ticks = np.round(np.clip(prices, previous * (1 - _CIRCUIT), previous * (1 + _CIRCUIT)) / instrument.tick_size)
        prices = np.round(ticks * instrument.tick_size, 2)
        quantities = self._quantities(instrument, times, rng)
        return DayPath(
            day=day,
            previous_close=previous,
            times_ms=times + midnight_ms(day) + 555 * MS_PER_MINUTE,
            prices=prices,
            volume=np.cumsum(quantities),
            turnover=np.cumsum(quantities * prices),
        )

    def _minute_boundaries(
        self, instrument: Instrument, day: date, opening: float, close: float, rng: np.random.Generator
    ) -> Floats:
        shared = self._index_minutes(day)
        own = shared if instrument.is_index else 0.5 * shared + 0.866 * rng.normal(0.0, 1.0, SESSION_MINUTES)
        daily = _INDEX_VOLATILITY if instrument.is_index else _DAILY_VOLATILITY
        steps = own * np.sqrt(self._weights) * daily / np.sqrt(SESSION_MINUTES)
        walk = np.concatenate(([0.0], np.cumsum(steps)))
        share = np.arange(SESSION_MINUTES + 1) / SESSION_MINUTES
        bridge = walk - share * walk[-1]
        return np.asarray(opening * np.exp(bridge + share * np.log(close / opening)), dtype=np.float64)

    def _trade_times(self, instrument: Instrument, rng: np.random.Generator) -> Ints:
        if instrument.is_index:
            return np.arange(SESSION_MINUTES * 60, dtype=np.int64) * 1000 + 250
        counts = rng.poisson(instrument.trades_per_minute * self._weights)
        counts[0] += 1  # the opening trade
        counts[-1] += 1  # and the one that makes the close
        minutes = np.repeat(np.arange(SESSION_MINUTES), counts)
        return np.sort(minutes * MS_PER_MINUTE + rng.integers(0, MS_PER_MINUTE, len(minutes)))

    def _quantities(self, instrument: Instrument, times: Ints, rng: np.random.Generator) -> Ints:
        if instrument.is_index:
            return np.zeros(len(times), dtype=np.int64)
        typical = max(1.0, 60_000 / instrument.price_base)
        sizes = typical * rng.lognormal(0.0, 1.0, len(times)) * self._weights[times // MS_PER_MINUTE]
        return np.maximum(1, sizes).astype(np.int64)


def _u_shape(minutes: int) -> Floats:
    """Weight the minutes of a session: busy at both ends, quiet at noon, one on average."""
    at = np.arange(minutes)
    weights = 0.7 + 3.0 * np.exp(-at / 18.0) + 1.6 * np.exp(-(minutes - 1 - at) / 25.0)
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def _weekday_number(day: date) -> int:
    """Count weekdays since the first; a day of a weekend counts as its Friday."""
    weeks, weekday = divmod((day - _FIRST_DAY).days, 7)
    return weeks * 5 + min(weekday, 4)
