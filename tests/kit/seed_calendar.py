"""`python -m tests.kit.seed_calendar`: print the [holidays] of config/calendar/nse.toml anew, names kept.

For the turn of a year: upgrade pandas-market-calendars, raise `last` in the file, run this, paste its output.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta

import pandas_market_calendars

from libs.calendar.calendar import DIRECTORY
from libs.calendar.data import Rules, read_rules


def package_days(first: date, last: date) -> dict[date, tuple[int, int]]:
    """The package's sessions: date -> opening and closing instant in microseconds."""
    schedule = pandas_market_calendars.get_calendar("NSE").schedule(first, last)
    return {
        day.date(): (int(row.market_open.timestamp() * 1e6), int(row.market_close.timestamp() * 1e6))
        for day, row in schedule.iterrows()
    }


def weekday_closures(first: date, last: date) -> list[date]:
    """The weekdays on which the package knows no session."""
    open_days = package_days(first, last)
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.weekday() < 5 and day not in open_days]


def holiday_lines(rules: Rules) -> list[str]:
    return [f'{day} = "{rules.holidays.get(day, "NAME ME")}"' for day in weekday_closures(rules.first, rules.last)]


if __name__ == "__main__":
    sys.stdout.write("\n".join(holiday_lines(read_rules(DIRECTORY, "nse"))) + "\n")
