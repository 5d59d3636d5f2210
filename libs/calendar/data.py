"""The dated rules behind a calendar, and how they are read and checked."""

from __future__ import annotations

import tomllib
from datetime import date, time
from pathlib import Path
from typing import Any

import msgspec

from libs.core.errors import Refused

OVERRIDES = "overrides.toml"


class CalendarError(Refused):
    """Calendar data is missing or makes no sense; names the file and what was expected."""


class NoSuchCalendar(CalendarError):
    """There is no exchange of this name; says which there are."""


class Hours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Regular hours from a date on, until a later row."""

    since: date
    pre_open: time
    open: time
    close: time
    closing_auction: tuple[time, time] | None = None

    def __post_init__(self) -> None:
        if not self.pre_open <= self.open < self.close:
            raise ValueError(f"hours since {self.since}: expected pre_open <= open < close")
        if self.closing_auction and not self.open < self.closing_auction[0] < self.closing_auction[1]:
            raise ValueError(f"hours since {self.since}: the closing auction must begin after the open and then end")
        _whole_minutes((self.pre_open, self.open, self.close, *(self.closing_auction or ())), f"since {self.since}")


class Special(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of one date, whatever the weekday; they win over a holiday. No closing auction unless it says so."""

    date: date
    name: str
    spans: tuple[tuple[time, time], ...]
    pre_open: time | None = None
    closing_auction: tuple[time, time] | None = None

    def __post_init__(self) -> None:
        edges = [edge for span in self.spans for edge in span]
        if not edges or edges != sorted(set(edges)):
            raise ValueError(f"special session {self.date}: expected spans that follow each other, got {self.spans}")
        _whole_minutes((*edges, *(self.closing_auction or ())), str(self.date))


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything known about one exchange. Dates before `first` or after `last` are assumed, not known."""

    exchange: str
    first: date
    last: date
    hours: tuple[Hours, ...]
    holidays: dict[date, str]
    special: tuple[Special, ...] = ()

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"last {self.last} lies before first {self.first}")
        since = [row.since for row in self.hours]
        if not since or since != sorted(set(since)) or since[0] > self.first:
            raise ValueError(f"[[hours]]: expected rows in order of `since`, the first not after {self.first}")
        dates = [row.date for row in self.special]
        if len(dates) != len(set(dates)):
            raise ValueError("[[special]]: a date stands twice")


class Overrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator or the broker knows better than the data: each entry replaces whatever the date was.

    `open` makes a date a regular session, as when a holiday is withdrawn.
    """

    holidays: dict[date, str] = {}
    special: tuple[Special, ...] = ()
    open: tuple[date, ...] = ()


def read_rules(directory: Path, exchange: str) -> Rules:
    """Read one exchange's dated rules, with the overrides beside them when there are any."""
    path = directory / f"{exchange}.toml"
    rules: Rules = _convert(_read(path), Rules, path)
    if rules.exchange != exchange:
        raise CalendarError(f"{path}: exchange is {rules.exchange!r}; expected {exchange!r}")
    overrides = directory / OVERRIDES
    if not overrides.exists():
        return rules
    known: dict[str, Overrides] = _convert(_read(overrides), dict[str, Overrides], overrides)
    return override(rules, known.get(exchange, Overrides()))


def override(rules: Rules, overrides: Overrides) -> Rules:
    """Give the rules with each overridden date replaced."""
    named = {*overrides.holidays, *overrides.open, *(row.date for row in overrides.special)}
    special = [row for row in rules.special if row.date not in named]
    special += overrides.special
    special += [_regular(rules, day) for day in overrides.open]
    holidays = {day: name for day, name in rules.holidays.items() if day not in named} | overrides.holidays
    return msgspec.structs.replace(
        rules,
        holidays=dict(sorted(holidays.items())),
        special=tuple(sorted(special, key=lambda row: row.date)),
    )


def hours_on(rules: Rules, day: date) -> Hours:
    """Give the regular hours in force on a date; before the first row, the first row's."""
    in_force = rules.hours[0]
    for row in rules.hours:
        if row.since <= day:
            in_force = row
    return in_force


def _regular(rules: Rules, day: date) -> Special:
    hours = hours_on(rules, day)
    return Special(day, "open by override", ((hours.open, hours.close),), hours.pre_open, hours.closing_auction)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as e:
        known = sorted(file.stem for file in path.parent.glob("*.toml") if file.name != OVERRIDES)
        raise NoSuchCalendar(f"{path}: no such calendar; there are {', '.join(known) or 'none'}") from e
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as e:
        raise CalendarError(f"{path}: cannot be read as TOML: {e}") from e


def _convert(tree: dict[str, Any], shape: Any, path: Path) -> Any:
    try:
        return msgspec.convert(tree, shape, str_keys=True)
    except (msgspec.ValidationError, ValueError) as e:
        raise CalendarError(f"{path}: {e}") from e


def _whole_minutes(times: tuple[time, ...], what: str) -> None:
    if any(moment.second or moment.microsecond or moment.tzinfo for moment in times):
        raise ValueError(f"hours {what}: expected whole minutes in IST, got {', '.join(map(str, times))}")
