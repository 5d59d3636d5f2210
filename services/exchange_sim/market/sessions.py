"""When the simulated exchange is open: trading days, pre-open, open, close, as milliseconds since the epoch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from libs.calendar import Calendar
from libs.core.clock import IST, Clock, day_start_us, to_us, trading_date

MS_PER_MINUTE = 60_000
SESSION_MINUTES = 375

_PRE_OPEN_START_MS = 9 * 60 * MS_PER_MINUTE
_PRE_OPEN_END_MS = _PRE_OPEN_START_MS + 8 * MS_PER_MINUTE
_OPEN_MS = _PRE_OPEN_START_MS + 15 * MS_PER_MINUTE
_CLOSE_MS = _OPEN_MS + SESSION_MINUTES * MS_PER_MINUTE
_CLOSING_END_MS = _CLOSE_MS + 30 * MS_PER_MINUTE


class Phase(StrEnum):
    """What the market is doing, in the broker's words for `market/status`."""

    CLOSED = "NORMAL_CLOSE"
    PRE_OPEN = "PRE_OPEN_START"
    PRE_OPEN_END = "PRE_OPEN_END"
    OPEN = "NORMAL_OPEN"
    CLOSING = "CLOSING_START"
    CLOSING_END = "CLOSING_END"


@dataclass(frozen=True)
class Session:
    """One trading day; all instants in milliseconds since the epoch."""

    day: date
    midnight_ms: int

    @property
    def pre_open_ms(self) -> int:
        """When orders for the opening are first taken."""
        return self.midnight_ms + _PRE_OPEN_START_MS

    @property
    def open_ms(self) -> int:
        """When trading begins."""
        return self.midnight_ms + _OPEN_MS

    @property
    def close_ms(self) -> int:
        """When trading ends; nothing trades at or after it."""
        return self.midnight_ms + _CLOSE_MS

    def phase(self, now_ms: int) -> Phase:
        """Say what the market does at an instant of this day."""
        since = now_ms - self.midnight_ms
        marks = (
            (_PRE_OPEN_START_MS, Phase.CLOSED),
            (_PRE_OPEN_END_MS, Phase.PRE_OPEN),
            (_OPEN_MS, Phase.PRE_OPEN_END),
            (_CLOSE_MS, Phase.OPEN),
            (_CLOSE_MS + 10 * MS_PER_MINUTE, Phase.CLOSING),
            (_CLOSING_END_MS, Phase.CLOSING_END),
        )
        return next((phase for end, phase in marks if since < end), Phase.CLOSED)


class TradingDays:
    """Weekdays that are not holidays. Special sessions are left out: every simulated session has regular hours."""

    def __init__(self, holidays: Mapping[date, str]) -> None:
        self.holidays = dict(holidays)

    @classmethod
    def of_exchange(cls, calendar: Calendar, more_holidays: Iterable[str]) -> TradingDays:
        """Take the real exchange's holidays, and those a test wants besides."""
        more = {date.fromisoformat(text): "Simulated holiday" for text in more_holidays}
        return cls({**calendar.rules.holidays, **more})

    def is_open(self, day: date) -> bool:
        """Say whether the exchange trades on a date."""
        return day.weekday() < 5 and day not in self.holidays

    def session(self, day: date) -> Session | None:
        """Give the session of a date, None when it is closed."""
        return Session(day, midnight_ms(day)) if self.is_open(day) else None

    def previous(self, day: date) -> date:
        """Give the trading day before a date."""
        day -= timedelta(days=1)
        while not self.is_open(day):
            day -= timedelta(days=1)
        return day

    def next(self, day: date) -> date:
        """Give the trading day after a date."""
        day += timedelta(days=1)
        while not self.is_open(day):
            day += timedelta(days=1)
        return day

    def between(self, first: date, last: date) -> list[date]:
        """List the trading days from first to last, both included."""
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return [day for day in days if self.is_open(day)]


def start_instant_ms(start: str, days: TradingDays, clock: Clock, *, day: date | None = None) -> int:
    """Say where market time begins: as asked, or just before the opening of a day; else of the last session's."""
    if start:
        moment = datetime.fromisoformat(start)
        return to_us(moment if moment.tzinfo else moment.replace(tzinfo=IST)) // 1000
    today = day or date_of(clock.now_us() // 1000)
    opens = today if days.is_open(today) else days.previous(today)
    return midnight_ms(opens) + _OPEN_MS - MS_PER_MINUTE // 2


def midnight_ms(day: date) -> int:
    """Give the instant at which a date begins in IST."""
    return day_start_us(day) // 1000


def date_of(now_ms: int) -> date:
    """Name the exchange's date an instant falls on."""
    return trading_date(now_ms * 1000)
