"""What the broker says about holidays and hours, folded into a calendar. Pure: somebody else asks the broker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import NamedTuple

import msgspec

from libs.calendar.calendar import Calendar
from libs.calendar.data import Overrides, Special, hours_on, override
from libs.core.clock import IST, US_PER_MINUTE, to_datetime


class BrokerTiming(msgspec.Struct, frozen=True):
    """One exchange's hours on one date, as the broker gives them."""

    exchange: str
    open_us: int
    close_us: int


class BrokerHoliday(msgspec.Struct, frozen=True):
    """One row of the broker's holiday list: who is closed that date, and who trades at unusual hours."""

    date: date
    name: str
    closed_exchanges: tuple[str, ...] = ()
    open_exchanges: tuple[BrokerTiming, ...] = ()


class Merged(NamedTuple):
    """A calendar that knows what the broker knows, in words what that changed, and the changed dates as data."""

    calendar: Calendar
    changes: tuple[str, ...]
    dates: Overrides


def merge_broker(
    calendar: Calendar, holidays: Iterable[BrokerHoliday], timings: Mapping[date, Iterable[BrokerTiming]]
) -> Merged:
    """Let the broker's word win on the dates it speaks of; other dates stay as they were.

    A date whose hours are the ones we have changes nothing, so that a session keeps its break and its auction.
    """
    closed: dict[date, str] = {}
    special: dict[date, Special] = {}
    for row in holidays:
        hours = [timing for timing in row.open_exchanges if _is(calendar, timing.exchange)]
        if hours:
            special[row.date] = _special(row.date, row.name, hours)
        elif any(_is(calendar, name) for name in row.closed_exchanges):
            closed[row.date] = row.name
    for day, rows in timings.items():
        hours = [timing for timing in rows if _is(calendar, timing.exchange)]
        if hours:
            closed.pop(day, None)
            special[day] = _special(day, "hours from the broker", hours)
    special = {day: row for day, row in special.items() if not _same_hours(calendar, row)}
    regular = tuple(day for day, row in special.items() if _regular_hours(calendar, row))
    closed = {day: name for day, name in closed.items() if calendar.session(day)}
    changes = [f"{day}: closed ({name})" for day, name in closed.items()]
    changes += [f"{day}: {_words(row)} ({row.name})" for day, row in special.items()]
    unusual = tuple(row for day, row in special.items() if day not in regular)
    overrides = Overrides(holidays=closed, special=unusual, open=regular)
    return Merged(Calendar(override(calendar.rules, overrides)), tuple(sorted(changes)), overrides)


def _is(calendar: Calendar, name: str) -> bool:
    return name.lower() == calendar.exchange


def _special(day: date, name: str, hours: list[BrokerTiming]) -> Special:
    hours = sorted(hours, key=lambda timing: timing.open_us)
    return Special(day, name, tuple((_time(timing.open_us), _time(timing.close_us)) for timing in hours))


def _time(instant_us: int) -> time:
    moment: datetime = to_datetime(instant_us - instant_us % US_PER_MINUTE).astimezone(IST)
    return moment.time()


def _same_hours(calendar: Calendar, row: Special) -> bool:
    """Whether we know that the session opens and ends so; the broker may count the closing auction in or not."""
    session = calendar.session(row.date)
    if session is None or session.assumed:
        return False
    ends = {_time(session.close_us), _time(session.last_us)}
    return row.spans[0][0] == _time(session.open_us) and row.spans[-1][1] in ends


def _regular_hours(calendar: Calendar, row: Special) -> bool:
    """Whether these are the date's regular hours, which come with their auction."""
    hours = hours_on(calendar.rules, row.date)
    ends = {hours.close, hours.closing_auction[1]} if hours.closing_auction else {hours.close}
    return len(row.spans) == 1 and row.spans[0][0] == hours.open and row.spans[0][1] in ends


def _words(row: Special) -> str:
    return "trades " + " and ".join(f"{start:%H:%M} to {end:%H:%M}" for start, end in row.spans)
