"""When the broker is asked about the calendar, and from which date on its word counts."""

from __future__ import annotations

import asyncio
from datetime import date
from types import SimpleNamespace
from typing import Any

from libs.calendar import Calendar
from libs.core.clock import day_start_us
from services.ingestor.learning import CalendarLearner
from tests.kit.clock import ManualClock

CALENDAR = Calendar.load("nse")
MONDAY, TUESDAY = date(2026, 2, 2), date(2026, 2, 3)


class Bench:
    """A learner whose questions are kept."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.market_us = 0
        self.settled: set[date] = set()
        self.used: list[int] = []
        self.day: Any = SimpleNamespace(dated=MONDAY, is_settled=self.settled.__contains__)
        self.day.use_calendar = lambda _given, now_us: self.used.append(now_us)
        self.unscheduled = SimpleNamespace(date=None)
        capture: Any = SimpleNamespace(
            day=self.day, session_clock=SimpleNamespace(now_us=lambda: self.market_us), unscheduled=self.unscheduled
        )
        self.asked: list[date] = []
        self.learner = CalendarLearner(capture, self.clock)
        self.learner.learn = self.learn

    def learn(self, since: date) -> Calendar:
        self.asked.append(since)
        return CALENDAR

    def look(self) -> None:
        if self.learner._is_due():
            asyncio.run(self.learner.ask())


def test_asked_on_a_new_date_and_hourly_and_every_minute_when_trades_are_not_expected():
    bench = Bench()
    bench.market_us = day_start_us(MONDAY) + 1
    bench.look()
    bench.look()
    assert bench.asked == [MONDAY]
    bench.clock.sleep(3601)
    bench.look()
    assert len(bench.asked) == 2
    bench.market_us = day_start_us(TUESDAY) + 1
    bench.look()
    assert bench.asked[2:] == [TUESDAY]
    bench.unscheduled.date = bench.day.dated
    bench.clock.sleep(61)
    bench.look()
    assert len(bench.asked) == 4
    assert len(bench.used) == 4


def test_the_hours_of_a_session_that_is_being_captured_are_not_asked_for():
    """Every process follows what is kept: it must not move a session the ingestor keeps."""
    bench = Bench()
    bench.market_us = day_start_us(MONDAY) + 1
    bench.settled.add(MONDAY)
    bench.look()

    assert bench.asked == [TUESDAY]
