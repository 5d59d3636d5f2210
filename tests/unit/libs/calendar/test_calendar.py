"""C7: sessions, holidays, special sessions and the closing auction."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from libs.calendar import Calendar, CalendarError
from libs.calendar.calendar import DIRECTORY
from libs.core.clock import IST, US_PER_MINUTE, day_start_us, to_us
from tests.kit.seed_calendar import package_days, weekday_closures

NSE = Calendar.load("nse")

MINIMAL = """
exchange = "xyz"
first = 2026-01-01
last = 2026-12-31
[[hours]]
since = 2026-01-01
pre_open = 09:00:00
open = 09:15:00
close = 15:30:00
[holidays]
2026-01-26 = "Republic Day"
"""


def at(text: str) -> int:
    return to_us(datetime.fromisoformat(text))


def test_the_data_agrees_with_the_package_on_every_weekday():
    """The package is curated by others: where both know a weekday, they must say the same."""
    first, last = NSE.rules.first, NSE.rules.last
    package = package_days(first, last)
    ours = {s.date: (s.open_us, s.close_us) for s in NSE.sessions(first, last) if s.date.weekday() < 5}

    assert ours == package
    assert list(NSE.rules.holidays) == weekday_closures(first, last)


def test_weekend_sessions_are_ours_alone():
    """The package cannot represent them (it says so); each of ours is listed here on purpose."""
    weekend = {
        s.date.isoformat(): s.name for s in NSE.sessions(NSE.rules.first, NSE.rules.last) if s.date.weekday() >= 5
    }

    assert weekend == {
        "2015-02-28": "Union budget",
        "2016-10-30": "Muhurat",
        "2019-10-27": "Muhurat",
        "2020-02-01": "Union budget",
        "2020-11-14": "Muhurat",
        "2023-11-12": "Muhurat",
        "2024-01-20": "Saturday in place of Monday 22 January",
        "2024-03-02": "Switch-over to the disaster recovery site",
        "2024-05-18": "Switch-over to the disaster recovery site",
        "2025-02-01": "Union budget",
        "2026-02-01": "Union budget",
    }


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-02-02T09:14:59", False),
        ("2026-02-02T09:15:00", True),
        ("2026-02-02T15:29:59", True),
        ("2026-02-02T15:30:00", False),
        ("2026-02-07T11:00:00", False),  # a Saturday
        ("2026-02-01T11:00:00", True),  # the budget's Sunday
        ("2026-01-26T11:00:00", False),  # Republic Day
        ("2025-10-21T11:00:00", False),  # Diwali, before the muhurat hour
        ("2025-10-21T14:00:00", True),
        ("2024-03-02T10:30:00", False),  # between the two spans
        ("2024-03-02T11:30:00", True),
    ],
)
def test_open_and_closed(moment, is_open):
    assert NSE.is_open(at(moment)) is is_open


def test_closing_auction_comes_with_its_date():
    before, after = NSE.session(date(2026, 7, 31)), NSE.session(date(2026, 8, 3))

    assert before.auction_close_us == 0
    assert before.last_us == before.close_us == at("2026-07-31T15:30:00")
    assert (after.auction_open_us, after.auction_close_us) == (at("2026-08-03T15:15:00"), at("2026-08-03T15:35:00"))
    assert after.close_us == at("2026-08-03T15:30:00")
    assert after.trades_at(at("2026-08-03T15:32:00"))
    assert not after.is_open(at("2026-08-03T15:32:00"))
    assert len(after.minutes) == 380
    assert NSE.bars_expected(after.date) == 375


def test_a_share_in_the_closing_auction_stops_trading_continuously_when_it_begins():
    """Else every certificate of such a share would miss a quarter of an hour, every day."""
    day = date(2026, 8, 3)
    session = NSE.session(day)

    assert NSE.bars_expected(day, closing_auction=True) == 360
    assert NSE.bars_expected(day, "15m", closing_auction=True) == 24
    assert session.is_open(at("2026-08-03T15:14:59"), closing_auction=True)
    assert not session.is_open(at("2026-08-03T15:15:00"), closing_auction=True)
    assert session.is_open(at("2026-08-03T15:15:00"))
    assert NSE.bars_expected(date(2026, 7, 31), closing_auction=True) == 375


@pytest.mark.parametrize(
    ("day", "timeframe", "count", "last"),
    [
        ("2026-02-02", "1m", 375, "15:29"),
        ("2026-02-02", "5m", 75, "15:25"),
        ("2026-02-02", "15m", 25, "15:15"),
        ("2026-02-02", "1h", 7, "15:15"),
        ("2026-02-02", "4h", 2, "13:15"),
        ("2026-02-02", "1d", 1, "00:00"),
        ("2025-10-21", "15m", 4, "14:30"),
        ("2025-10-21", "4h", 1, "13:45"),
        ("2024-03-02", "1m", 105, "12:29"),
        ("2024-03-02", "1h", 3, "12:15"),  # 09:15, 11:15 and 12:15: nothing trades from 10:15 to 11:15
        ("2026-01-26", "1m", 0, None),
    ],
)
def test_bars_are_anchored_at_the_open(day, timeframe, count, last):
    starts = NSE.bar_starts(date.fromisoformat(day), timeframe)

    assert len(starts) == NSE.bars_expected(date.fromisoformat(day), timeframe) == count
    assert list(starts) == sorted(set(starts))
    if last:
        assert starts[-1] == at(f"{day}T{last}:00")


def test_every_minute_falls_in_one_bar_of_each_timeframe():
    session = NSE.session(date(2024, 3, 2))
    for timeframe in ("1m", "5m", "15m", "1h", "4h", "1d"):
        starts = {session.bar_start(minute, timeframe) for minute in session.minutes}

        assert starts == set(session.bar_starts(timeframe))
        assert all(session.bar_start(m + US_PER_MINUTE - 1, timeframe) in starts for m in session.minutes)


def test_next_and_previous_session_step_over_weekends_and_holidays():
    friday_evening = at("2026-01-23T18:00:00")  # Monday is Republic Day

    assert NSE.next_session(friday_evening).date == date(2026, 1, 27)
    assert NSE.previous_session(friday_evening).date == date(2026, 1, 23)
    assert NSE.previous_session(at("2026-01-23T15:29:00")).date == date(2026, 1, 22)
    assert NSE.next_session(at("2026-01-23T09:00:00")).date == date(2026, 1, 23)
    assert NSE.next_session(at("2026-01-23T09:15:00")).date == date(2026, 1, 27)


def test_previous_session_waits_for_the_closing_auction():
    assert NSE.previous_session(at("2026-08-03T15:34:59")).date == date(2026, 7, 31)
    assert NSE.previous_session(at("2026-08-03T15:35:00")).date == date(2026, 8, 3)


def test_trading_days_of_a_month():
    days = NSE.trading_days(date(2026, 10, 1), date(2026, 10, 31))

    assert len(days) == 20
    assert date(2026, 10, 2) not in days
    assert date(2026, 10, 20) not in days


def test_a_year_without_data_is_assumed_and_says_so():
    """Nobody may mistake a guess for the exchange's word."""
    monday = NSE.session(date(2027, 1, 4))

    assert monday.assumed
    assert monday.open_us == at("2027-01-04T09:15:00")
    assert NSE.session(date(2027, 1, 2)) is None
    assert not NSE.session(date(2026, 12, 31)).assumed
    assert NSE.session(date(2014, 12, 31)).assumed


def test_all_times_of_a_session_lie_in_its_own_date():
    for session in NSE.sessions(date(2015, 1, 1), date(2026, 12, 31)):
        start = day_start_us(session.date)

        assert start < session.pre_open_us <= session.open_us < session.close_us <= session.last_us
        assert session.last_us < day_start_us(session.date + timedelta(days=1))


def test_overrides_replace_what_the_date_was(tmp_path):
    (tmp_path / "xyz.toml").write_text(MINIMAL)
    (tmp_path / "overrides.toml").write_text(
        """
        [xyz]
        open = [2026-01-26]
        [xyz.holidays]
        2026-03-02 = "State funeral"
        [[xyz.special]]
        date = 2026-11-08
        name = "Muhurat"
        spans = [[18:00:00, 19:00:00]]
        [other.holidays]
        2026-03-03 = "Somebody else's"
        """
    )
    calendar = Calendar.load("xyz", tmp_path)

    assert calendar.session(date(2026, 1, 26)).open_us == at("2026-01-26T09:15:00")
    assert calendar.holiday(date(2026, 1, 26)) is None
    assert calendar.session(date(2026, 3, 2)) is None
    assert calendar.holiday(date(2026, 3, 2)) == "State funeral"
    assert calendar.session(date(2026, 3, 3))
    assert calendar.bars_expected(date(2026, 11, 8)) == 60


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("close = 09:00:00", "expected pre_open <= open < close"),
        ("close = 15:30:30", "expected whole minutes"),
        ("close = 15:30:00\nclosing_aution = []", "closing_aution"),
        ("close = 15:30:00\nclosing_auction = [15:35:00, 15:15:00]", "auction"),
    ],
)
def test_senseless_data_is_refused_by_file_and_reason(tmp_path, wrong, message):
    path = tmp_path / "xyz.toml"
    path.write_text(MINIMAL.replace("close = 15:30:00", wrong))

    with pytest.raises(CalendarError, match=message) as refusal:
        Calendar.load("xyz", tmp_path)
    assert str(path) in str(refusal.value)


def test_unknown_exchange_names_the_known_ones():
    with pytest.raises(CalendarError, match="there are nse"):
        Calendar.load("nope", DIRECTORY)


def test_hours_are_in_ist():
    session = NSE.session(date(2026, 2, 2))

    assert datetime.fromtimestamp(session.open_us / 1e6, IST).isoformat() == "2026-02-02T09:15:00+05:30"
