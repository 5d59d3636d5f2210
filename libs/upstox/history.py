"""The broker's candles of the past: one instrument a call, so many days a call, so many calls a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from libs.core.clock import Clock, to_us
from libs.core.errors import Corrupt, Refused, RetryLater
from libs.upstox.session import BrokerSession

#: Unit, interval and the most days a call may span, as the broker allows them.
_SPANS = {
    "1m": ("minutes", "1", 28), "5m": ("minutes", "5", 28), "15m": ("minutes", "15", 28),
    "1h": ("hours", "1", 89), "4h": ("hours", "4", 89), "1d": ("days", "1", 3650),
}  # fmt: skip
#: So many calls within so many seconds, a little below what the broker allows.
_RATES = ((9, 1.0), (450, 60.0), (1800, 1800.0))
_ATTEMPTS_MAX = 4
_FIRST_WAIT_S = 1.0


class PastCandle(NamedTuple):
    """One candle, stamped with its start."""

    timestamp_us: int
    open: float
    high: float
    low: float
    close: float
    volume: int


class History:
    """Asks one call at a time and waits where the broker would turn it away."""

    def __init__(self, session: BrokerSession, clock: Clock) -> None:
        import upstox_client

        self._session = session
        self._clock = clock
        self._api = upstox_client.HistoryV3Api(session.client)
        self._calls: deque[float] = deque(maxlen=max(count for count, _ in _RATES))

    def candles(self, key: str, timeframe: str, start: date, end: date) -> list[PastCandle]:
        """Give the candles of the days from start to end, both included, oldest first."""
        if timeframe not in _SPANS:
            raise Refused(f"timeframe {timeframe!r}; the broker keeps {', '.join(_SPANS)}")
        unit, interval, _ = _SPANS[timeframe]
        found: list[PastCandle] = []
        for first, last in spans(timeframe, start, end):
            found += self._call(key, unit, interval, first, last)
        return sorted(found)

    def today(self, key: str, timeframe: str = "1m") -> list[PastCandle]:
        """Give today's complete candles so far, oldest first. One call, made at once and never repeated.

        For a caller that must not be kept waiting: it waits `wait_s()` itself, and tries again what is `RetryLater`.
        """
        unit, interval, _ = _SPANS[timeframe]
        self._calls.append(self._clock.monotonic_ns() / 1e9)
        answer = self._session.call(self._api.get_intra_day_candle_data, key, unit, interval)
        return sorted(_candles(answer, key))

    def wait_s(self) -> float:
        """How long until another call is within every rate."""
        now_s = self._clock.monotonic_ns() / 1e9
        waits = [self._calls[-count] + window_s - now_s for count, window_s in _RATES if len(self._calls) >= count]
        return max([0.0, *waits])

    def _call(self, key: str, unit: str, interval: str, first: date, last: date) -> list[PastCandle]:
        wait_s = _FIRST_WAIT_S
        for attempt in range(_ATTEMPTS_MAX):
            self._pace()
            try:
                answer = self._session.call(
                    self._api.get_historical_candle_data1, key, unit, interval, last.isoformat(), first.isoformat()
                )
            except RetryLater:
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
                self._clock.sleep(wait_s)
                wait_s *= 2
                continue
            return _candles(answer, key)
        raise AssertionError  # the last attempt returned or raised

    def _pace(self) -> None:
        """Wait until another call is within every rate."""
        while (wait_s := self.wait_s()) > 0:
            self._clock.sleep(wait_s)
        self._calls.append(self._clock.monotonic_ns() / 1e9)


def spans(timeframe: str, start: date, end: date) -> Iterator[tuple[date, date]]:
    """Cut a range of days into pieces one call may span, oldest first."""
    days = timedelta(days=_SPANS[timeframe][2])
    while start <= end:
        last = min(end, start + days - timedelta(days=1))
        yield start, last
        start = last + timedelta(days=1)


def _candles(answer: Any, key: str) -> list[PastCandle]:
    try:
        rows = list(answer.data.candles)
    except (AttributeError, TypeError) as e:
        raise Corrupt(f"the broker's answer for {key} holds no list of candles: {e}") from e
    return [_candle(row, key) for row in rows]


def _candle(row: list[object], key: str) -> PastCandle:
    """Read a row `[time, open, high, low, close, volume, open interest]`."""
    try:
        moment, first, high, low, last, volume, *_ = row
        opened, highest, lowest, closed, traded = (float(str(each)) for each in (first, high, low, last, volume))
        at_us = to_us(datetime.fromisoformat(str(moment)))
        return PastCandle(at_us, opened, highest, lowest, closed, int(traded))
    except (ValueError, TypeError) as e:
        raise Corrupt(f"a candle of {key} cannot be read: {row}: {e}") from e
