"""Holidays and hours as the broker's API gives them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from libs.calendar import BrokerHoliday, BrokerTiming
from libs.core.clock import IST
from libs.core.errors import Corrupt
from libs.upstox.session import BrokerSession


def broker_calendar(session: BrokerSession, day: date) -> tuple[list[BrokerHoliday], dict[date, list[BrokerTiming]]]:
    """Ask for the year's holidays and one date's hours, as `merge_broker` takes them."""
    import upstox_client

    api = upstox_client.MarketHolidaysAndTimingsApi(session.client)
    try:
        holidays = [_holiday(row) for row in session.call(api.get_holidays).data or []]
        hours = [_timing(row) for row in session.call(api.get_exchange_timings, day.isoformat()).data or []]
    except (AttributeError, TypeError, ValueError) as e:
        raise Corrupt(f"the broker's calendar cannot be read: {e}") from e
    return holidays, {day: hours} if hours else {}


def _holiday(row: Any) -> BrokerHoliday:
    # The SDK's attribute has an underscore, and makes a datetime of the date.
    moment: datetime = row._date
    day = moment.astimezone(IST).date() if moment.tzinfo else moment.date()
    hours = tuple(_timing(each) for each in row.open_exchanges or ())
    return BrokerHoliday(day, row.description or "", tuple(row.closed_exchanges or ()), hours)


def _timing(row: Any) -> BrokerTiming:
    return BrokerTiming(str(row.exchange), int(row.start_time) * 1000, int(row.end_time) * 1000)
