"""`fleet calendar`: when an exchange trades."""

from __future__ import annotations

import argparse
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from cli.words import a_day, at_least
from libs.calendar import Calendar
from libs.contracts.sessions import Session
from libs.core.clock import IST, SystemClock, to_datetime, trading_date


def add(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("calendar", help="when the exchange trades")
    parser.add_argument("--date", type=a_day, metavar="D", help="a date such as 2026-11-23; today by default")
    parser.add_argument("--days", type=at_least(1), default=1, metavar="N", help="so many dates from it on (default 1)")
    parser.add_argument("--exchange", default="nse")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one line, or one JSON object, for each date."""
    from libs.dbaccess.calendars import load_calendar
    from libs.settings import load_settings

    calendar = load_calendar(options.data_root or load_settings().data_root, options.exchange)
    first = options.date or trading_date(SystemClock().now_us())
    for day in (first + timedelta(days=n) for n in range(options.days)):
        print(json.dumps(facts(calendar, day)) if options.json else in_words(calendar, day))
    return 0


def facts(calendar: Calendar, day: date) -> dict[str, Any]:
    """Give what there is to know about a date, in types JSON has; instants in microseconds."""
    session = calendar.session(day)
    if session is None:
        reason = calendar.holiday(day) or "weekend"
        return {"exchange": calendar.exchange, "date": day.isoformat(), "open": False, "reason": reason}
    return {
        "exchange": calendar.exchange,
        "date": day.isoformat(),
        "open": True,
        "name": session.name,
        "assumed": session.assumed,
        "pre_open_us": session.pre_open_us,
        "spans_us": session.spans,
        "closing_auction_us": [session.auction_open_us, session.auction_close_us] if session.auction_close_us else None,
        "minutes": calendar.bars_expected(day, "1m"),
    }


def in_words(calendar: Calendar, day: date) -> str:
    """Say it in a line."""
    session = calendar.session(day)
    head = f"{day:%a} {day} {calendar.exchange}: "
    if session is None:
        return head + f"closed ({calendar.holiday(day) or 'weekend'})"
    parts = [" and ".join(_span(*span) for span in session.spans)]
    if session.auction_close_us:
        parts.append(f"closing auction {_span(session.auction_open_us, session.auction_close_us)}")
    parts.append(f"{calendar.bars_expected(day, '1m')} minutes")
    return head + ", ".join(parts) + _remarks(calendar, session)


def _remarks(calendar: Calendar, session: Session) -> str:
    name = f" ({session.name})" if session.name else ""
    if not session.assumed:
        return name
    return f"{name}; ASSUMED: the data ends on {calendar.rules.last}, see docs/reference/calendar.md"


def _span(start_us: int, end_us: int) -> str:
    start, end = (to_datetime(instant).astimezone(IST) for instant in (start_us, end_us))
    return f"{start:%H:%M} to {end:%H:%M}"
