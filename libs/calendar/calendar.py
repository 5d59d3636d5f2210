"""Questions about an exchange's sessions, answered from its dated rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time, timedelta
from pathlib import Path

from libs.calendar.data import Rules, Special, hours_on, override, read_rules
from libs.calendar.learned import read_learned
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, day_start_us, trading_date

DIRECTORY = Path(__file__).resolve().parents[2] / "config" / "calendar"

_DAY = timedelta(days=1)
_SATURDAY = 5
#: Longer than any stretch without a session. A search that finds none in it has broken data before it.
_SEARCH_DAYS_MAX = 60


class Calendar:
    """One exchange's sessions. Immutable; asks no clock.

    A weekday the data does not cover is taken for a regular session and says so: `session.assumed`.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._special = {row.date: row for row in rules.special}
        self._sessions: dict[date, Session | None] = {}

    @classmethod
    def load(cls, exchange: str, directory: Path = DIRECTORY, *, learned: Path | None = None) -> Calendar:
        """Read `<exchange>.toml` of the directory, its overrides.toml, and what was learned from the broker, if any."""
        rules = read_rules(directory, exchange)
        return Calendar(override(rules, read_learned(learned, exchange)) if learned else rules)

    @property
    def exchange(self) -> str:
        return self.rules.exchange

    def session(self, day: date) -> Session | None:
        """Give a date's session, or None when the exchange is closed."""
        if day not in self._sessions:
            self._sessions[day] = self._make(day)
        return self._sessions[day]

    def holiday(self, day: date) -> str | None:
        """Name the holiday that closes a date; None on a session or an ordinary weekend."""
        return None if self.session(day) else self.rules.holidays.get(day)

    def is_known(self, day: date) -> bool:
        """Whether the data covers a date; beyond it sessions are assumed on weekdays."""
        return self.rules.first <= day <= self.rules.last or day in self._special or day in self.rules.holidays

    def is_open(self, instant_us: int) -> bool:
        """Whether shares trade continuously at an instant."""
        session = self.session(trading_date(instant_us))
        return session is not None and session.is_open(instant_us)

    def sessions(self, start: date, end: date) -> Iterator[Session]:
        """Give the sessions of the dates in `[start, end]`, in order."""
        day = start
        while day <= end:
            if session := self.session(day):
                yield session
            day += _DAY

    def trading_days(self, start: date, end: date) -> list[date]:
        """List the dates in `[start, end]` on which the exchange trades."""
        return [session.date for session in self.sessions(start, end)]

    def next_session(self, instant_us: int) -> Session:
        """Give the first session that opens after an instant."""
        day = trading_date(instant_us)
        for _ in range(_SEARCH_DAYS_MAX):
            session = self.session(day)
            if session and session.open_us > instant_us:
                return session
            day += _DAY
        raise self._no_session(f"after {trading_date(instant_us)}")

    def previous_session(self, instant_us: int) -> Session:
        """Give the last session that was over, closing auction included, at an instant."""
        day = trading_date(instant_us)
        for _ in range(_SEARCH_DAYS_MAX):
            session = self.session(day)
            if session and session.last_us <= instant_us:
                return session
            day -= _DAY
        raise self._no_session(f"before {trading_date(instant_us)}")

    def bars_expected(self, day: date, timeframe: str = "1m", *, closing_auction: bool = False) -> int:
        """Count the bars a share that always trades has on a date; 0 when the exchange is closed."""
        return len(self.bar_starts(day, timeframe, closing_auction=closing_auction))

    def bar_starts(self, day: date, timeframe: str = "1m", *, closing_auction: bool = False) -> tuple[int, ...]:
        """Give the start of each of those bars."""
        session = self.session(day)
        return session.bar_starts(timeframe, closing_auction=closing_auction) if session else ()

    def _make(self, day: date) -> Session | None:
        if special := self._special.get(day):
            return self._special_session(special)
        if day.weekday() >= _SATURDAY or day in self.rules.holidays:
            return None
        hours = hours_on(self.rules, day)
        return _session(
            self.exchange,
            day,
            spans=((hours.open, hours.close),),
            pre_open=hours.pre_open,
            auction=hours.closing_auction,
            assumed=not self.is_known(day),
        )

    def _special_session(self, row: Special) -> Session:
        pre_open = row.pre_open or row.spans[0][0]
        return _session(
            self.exchange, row.date, spans=row.spans, pre_open=pre_open, auction=row.closing_auction, name=row.name
        )

    def _no_session(self, where: str) -> LookupError:
        return LookupError(f"calendar {self.exchange}: no session within {_SEARCH_DAYS_MAX} days {where}")


def _session(
    exchange: str,
    day: date,
    *,
    spans: tuple[tuple[time, time], ...],
    pre_open: time,
    auction: tuple[time, time] | None,
    name: str = "",
    assumed: bool = False,
) -> Session:
    start_us = day_start_us(day)

    def at(moment: time) -> int:
        return start_us + (moment.hour * 60 + moment.minute) * US_PER_MINUTE

    return Session(
        exchange=exchange,
        date=day,
        spans=tuple((at(open_), at(close)) for open_, close in spans),
        pre_open_us=at(pre_open),
        auction_open_us=at(auction[0]) if auction else 0,
        auction_close_us=at(auction[1]) if auction else 0,
        name=name,
        assumed=assumed,
    )
