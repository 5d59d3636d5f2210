"""C7: what the ingestor learned from the broker is one file, and every process of the data root answers by it."""

from __future__ import annotations

from datetime import date, time

import pytest

from libs.calendar import Calendar, CalendarError
from libs.calendar.data import Overrides, Special
from libs.calendar.learned import joined, read_learned
from libs.dbaccess import DatabaseManager, OwnershipError, Role
from libs.dbaccess.calendars import FollowedCalendar, keep_learned, load_calendar
from libs.dbaccess.coverage import coverage
from libs.dbaccess.layout import Layout
from services.backtest.settings import check as backtest_checked
from services.execution_engine.settings import checked as engine_checked
from services.ingestor.settings import checked as ingestor_checked
from services.ops.settings import checked as ops_checked
from services.scanner.settings import checked as scanner_checked
from tests.kit.roots import settings

MONDAY, TUESDAY, WEDNESDAY, SUNDAY = (date(2026, 11, day) for day in (16, 17, 18, 22))
MUHURAT = Special(SUNDAY, "Muhurat", ((time(18), time(19)),))


def learn(root, dates: Overrides, since: date = MONDAY) -> bool:
    root.joinpath("market_data").mkdir(parents=True, exist_ok=True)
    return keep_learned(DatabaseManager(root, Role.INGESTOR), "nse", dates, since)


def test_the_newest_word_stands_and_the_past_stays():
    """History was captured by what was known then, whatever the broker lists of it later."""
    old = Overrides(holidays={MONDAY: "State election", WEDNESDAY: "Mourning"}, special=(MUHURAT,))
    new = Overrides(open=(TUESDAY,))

    assert joined(old, new, TUESDAY) == Overrides(holidays={MONDAY: "State election"}, open=(TUESDAY,))
    assert joined(old, Overrides(holidays={MONDAY: "No"}), TUESDAY).holidays == {MONDAY: "State election"}


def test_what_is_kept_is_read_as_it_was_and_written_only_when_it_is_new(tmp_path):
    dates = Overrides(holidays={TUESDAY: "State election"}, special=(MUHURAT,))

    assert learn(tmp_path, dates)
    assert not learn(tmp_path, dates)
    assert read_learned(Layout(tmp_path).calendar("nse"), "nse") == dates
    assert load_calendar(tmp_path, "nse").bars_expected(SUNDAY) == 60
    with pytest.raises(OwnershipError):
        keep_learned(DatabaseManager(tmp_path, Role.API), "nse", dates, MONDAY)


def test_services_that_live_for_days_follow(tmp_path):
    """The broker closes a date after they started."""
    given = settings(TRADEFLEET_DATA=str(tmp_path))
    living = [engine_checked(given), scanner_checked(given)[0], ops_checked(given)[0]]
    assert all(calendar.session(TUESDAY) for calendar in living)
    learn(tmp_path, Overrides(holidays={TUESDAY: "State election"}))

    assert [calendar.session(TUESDAY) for calendar in living] == [None, None, None]
    assert ingestor_checked(given).session(TUESDAY) is None
    days = coverage(DatabaseManager(tmp_path, settings=given), "nse", MONDAY, WEDNESDAY)
    assert [day.trading_date for day in days] == [MONDAY, WEDNESDAY]


def test_a_damaged_file_is_refused_at_the_start_and_changes_nothing_later(tmp_path):
    learn(tmp_path, Overrides(holidays={TUESDAY: "State election"}))
    calendar = FollowedCalendar(tmp_path, "nse")
    path = Layout(tmp_path).calendar("nse")
    path.write_bytes(b"{")

    assert calendar.session(TUESDAY) is None
    with pytest.raises(CalendarError, match="remove it"):
        load_calendar(tmp_path, "nse")
    path.unlink()
    assert calendar.session(TUESDAY) == Calendar.load("nse").session(TUESDAY)


def test_a_backtest_service_is_checked_by_the_same_file(tmp_path):
    learn(tmp_path, Overrides(holidays={TUESDAY: "State election"}))
    Layout(tmp_path).calendar("nse").write_bytes(b"{")

    with pytest.raises(Exception, match=r"calendar_nse\.json"):
        backtest_checked(settings(TRADEFLEET_DATA=str(tmp_path)))
