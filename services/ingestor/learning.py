"""Keeps the calendar what the broker says it is: asks on every new date, hourly, soon when trades come unexpected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, timedelta

from libs.calendar import Calendar
from libs.core.clock import Clock, trading_date
from services.ingestor.capture import Capture

_LOOK_EVERY_S = 2.0
_ASK_EVERY_NS, _ASK_AT_ODDS_EVERY_NS = 3600 * 10**9, 60 * 10**9


class CalendarLearner:
    """Asks while the process lives. `learn` is set once the broker was reached; a recording has none."""

    learn: Callable[[date], Calendar] | None = None

    def __init__(self, capture: Capture, clock: Clock) -> None:
        self._capture = capture
        self._clock = clock
        self._asked: date | None = None
        self._asked_ns = 0

    async def run(self) -> None:
        """Ask when it is due, until cancelled."""
        while True:
            if self.learn is not None and self._is_due():
                await self.ask()
            await asyncio.sleep(_LOOK_EVERY_S)

    async def ask(self) -> None:
        """Ask once; a session that is being captured keeps its hours, here and for everybody else."""
        if self.learn is None:
            return
        day, today = self._capture.day, self._today()
        self._asked, self._asked_ns = today, self._clock.monotonic_ns()
        since = today + timedelta(days=1) if day.is_settled(today) else today
        calendar = await asyncio.to_thread(self.learn, since)
        day.use_calendar(calendar, self._capture.session_clock.now_us())

    def _is_due(self) -> bool:
        capture, passed_ns = self._capture, self._clock.monotonic_ns() - self._asked_ns
        at_odds = capture.unscheduled.date == capture.day.dated
        return self._today() != self._asked or passed_ns >= (_ASK_AT_ODDS_EVERY_NS if at_odds else _ASK_EVERY_NS)

    def _today(self) -> date:
        """Give the market's date, by the machine's clock before the exchange said what time it is."""
        return trading_date(self._capture.session_clock.now_us() or self._clock.now_us())
