"""Time: integer microseconds since the epoch, UTC. The only module that asks the machine what time it is.

Code takes a `Clock`; the real one is made in a program's `__main__` (or a command) and handed down.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Protocol

US_PER_SECOND = 1_000_000
US_PER_MINUTE = 60 * US_PER_SECOND
US_PER_DAY = 86_400 * US_PER_SECOND

IST = timezone(timedelta(hours=5, minutes=30), "IST")
_IST_OFFSET_US = 330 * US_PER_MINUTE
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Wall time for stamps, monotonic time for waits."""

    def now_us(self) -> int:
        """Microseconds since the epoch, UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that never run backwards; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long by this clock."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def to_us(moment: datetime) -> int:
    """Turn a datetime into microseconds since the epoch; a naive one is taken as IST."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=IST)
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(timestamp_us: int) -> datetime:
    """Give an aware UTC datetime, exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=timestamp_us)


def trading_date(timestamp_us: int) -> date:
    """Name the exchange's date (IST) an instant falls on."""
    return date.fromordinal(719_163 + (timestamp_us + _IST_OFFSET_US) // US_PER_DAY)


def trading_day(timestamp_us: int) -> str:
    """Spell the exchange's date an instant falls on: 2026-02-02."""
    return _spelled((timestamp_us + _IST_OFFSET_US) // US_PER_DAY)


@lru_cache(maxsize=4096)
def _spelled(day: int) -> str:
    return date.fromordinal(719_163 + day).isoformat()


def day_start_us(day: date) -> int:
    """Give the instant at which a date begins in IST."""
    return (day.toordinal() - 719_163) * US_PER_DAY - _IST_OFFSET_US
