"""When a day is due for history."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from libs.calendar import Calendar
from libs.core.clock import US_PER_MINUTE
from services.ingestor.rollover import DayCloser

SESSION = Calendar.load("nse").session(date(2026, 2, 2))
assert SESSION is not None
DUE_US = SESSION.last_us + 15 * US_PER_MINUTE


def closer_at(now_us: int, *, filling: bool) -> DayCloser:
    clock = SimpleNamespace(now_us=lambda: now_us)
    day = SimpleNamespace(session=SESSION, aggregator=SimpleNamespace(is_over=True), exchange="nse")
    capture: Any = SimpleNamespace(session_clock=clock, day=day, close_day=lambda _day: None)
    buffer = SimpleNamespace(manifest=SimpleNamespace(trading_dates=[SESSION.date]))
    manager: Any = SimpleNamespace(layout=SimpleNamespace(day=lambda *_: Path("/nowhere")))
    door: Any = SimpleNamespace(buffer=buffer)
    made = DayCloser(manager, door, capture, SimpleNamespace(), delay_s=900)  # type: ignore[arg-type]
    made.is_filling = lambda: filling
    return made


def test_a_day_waits_for_the_candles_of_its_gaps_but_not_for_ever():
    """Two thousand symbols of two gaps take longer than the delay; what comes after the rollover is lost."""
    assert closer_at(DUE_US, filling=False).due() == SESSION.date
    assert closer_at(DUE_US, filling=True).due() is None
    assert closer_at(DUE_US + 60 * US_PER_MINUTE, filling=True).due() == SESSION.date


def test_whoever_asks_for_the_rollover_does_not_wait():
    made = closer_at(DUE_US, filling=True)
    made.ask(SESSION.date)

    assert made.due() == SESSION.date
