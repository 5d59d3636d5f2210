"""C7: the broker's word on holidays and hours, folded in."""

from __future__ import annotations

from datetime import date, datetime

from libs.calendar import BrokerHoliday, BrokerTiming, Calendar, merge_broker
from libs.core.clock import to_us

NSE = Calendar.load("nse")
MONDAY = date(2026, 11, 23)


def hours(exchange: str, day: date, start: str, end: str) -> BrokerTiming:
    return BrokerTiming(exchange, at(day, start), at(day, end))


def at(day: date, clock: str) -> int:
    return to_us(datetime.fromisoformat(f"{day}T{clock}"))


def test_what_the_broker_repeats_changes_nothing():
    """Its hours may end with the auction or without it; ours keep their auction either way."""
    holidays = [BrokerHoliday(date(2026, 11, 24), "Gurunanak Jayanti", ("NSE", "BSE"))]
    timings = {MONDAY: [hours("NSE", MONDAY, "09:15", "15:35"), hours("MCX", MONDAY, "09:00", "23:30")]}
    merged = merge_broker(NSE, holidays, timings)

    assert merged.changes == ()
    assert merged.calendar.rules == NSE.rules


def test_a_new_holiday_closes_the_date():
    merged = merge_broker(NSE, [BrokerHoliday(MONDAY, "State election", ("NSE",))], {})

    assert merged.calendar.session(MONDAY) is None
    assert merged.calendar.holiday(MONDAY) == "State election"
    assert merged.changes == ("2026-11-23: closed (State election)",)
    assert NSE.session(MONDAY)


def test_a_holiday_of_another_exchange_is_not_ours():
    rows = [BrokerHoliday(MONDAY, "Settlement holiday"), BrokerHoliday(MONDAY, "Elsewhere", ("MCX",))]

    assert merge_broker(NSE, rows, {}).changes == ()


def test_special_hours_open_a_sunday():
    sunday = date(2026, 11, 8)
    row = BrokerHoliday(sunday, "Muhurat", ("NSE",), (hours("NSE", sunday, "18:00", "19:00"),))
    merged = merge_broker(NSE, [row], {})

    assert merged.calendar.bars_expected(sunday) == 60
    assert merged.changes == ("2026-11-08: trades 18:00 to 19:00 (Muhurat)",)


def test_timings_of_a_date_win_over_the_holiday_list():
    merged = merge_broker(
        NSE, [BrokerHoliday(MONDAY, "Withdrawn", ("NSE",))], {MONDAY: [hours("NSE", MONDAY, "10:15", "15:30")]}
    )

    assert merged.calendar.session(MONDAY).open_us == at(MONDAY, "10:15")


def test_merging_twice_is_merging_once():
    rows = [BrokerHoliday(MONDAY, "State election", ("NSE",))]
    once = merge_broker(NSE, rows, {}).calendar

    assert merge_broker(once, rows, {}).changes == ()


def test_the_broker_makes_an_assumed_date_known():
    """Next year's calendar is not in the data yet; the broker's hours are better than an assumption."""
    monday = date(2027, 1, 4)
    merged = merge_broker(NSE, [], {monday: [hours("NSE", monday, "09:15", "15:30")]})

    assert NSE.session(monday).assumed
    assert not merged.calendar.session(monday).assumed
    assert merged.calendar.session(monday).auction_close_us == NSE.session(monday).auction_close_us
