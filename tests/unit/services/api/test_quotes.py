"""H2: a quote's day so far and the close before it, read once for all who ask."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest

from libs.core.clock import day_start_us
from libs.core.errors import RetryLater
from libs.simulation.clock import ManualClock
from services.api.quotes import DayFigures

DAY = date(2026, 2, 2)
NAMES = ("symbol", "open", "high", "low", "close", "volume")
MINUTES = [("ACME", 10.0, 12.0, 9.5, 11.0, 100), ("ACME", 11.0, 11.5, 9.0, 9.5, 50), ("BETA", 5.0, 5.0, 5.0, 5.0, 0)]
BEFORE = [("ACME", 8.0, 8.0, 8.0, 8.5, 1), ("ACME", 9.0, 9.0, 9.0, 9.25, 1)]


class Market:
    """Gives the day's minutes, and two days before; notes what it was asked for."""

    def __init__(self):
        self.asked = []
        self.is_gone = False

    def get_candles(self, symbols, exchange, timeframe, start, end, *, output):
        assert (exchange, output) == ("nse", "arrow")
        if self.is_gone:
            raise RetryLater("a day was closed meanwhile")
        self.asked.append((timeframe, tuple(symbols), start, end))
        rows = MINUTES if timeframe == "1m" else BEFORE
        return pa.table(dict(zip(NAMES, zip(*rows, strict=True), strict=True)))


@pytest.fixture
def market():
    return Market()


def test_the_day_is_read_once_for_all_who_ask(market):
    """Range and volume are of the day's minutes, the close of the newest day before; who asks soon gets the same."""
    clock = ManualClock(day_start_us(DAY))
    figures = DayFigures(market, clock, "nse")
    now_us = day_start_us(DAY) + 40_000_000_000
    found = figures.of(["BETA", "ACME"], now_us)
    again = figures.of(["ACME"], now_us)
    clock.advance(3)
    with figures._lock:  # another thread reads
        meanwhile = figures.of(["ACME", "BETA"], now_us)
    figures.of(["ACME", "BETA"], now_us)
    clock.advance(3)
    market.is_gone = True
    without = figures.of(["ACME"], now_us)

    assert found == {
        "ACME": {"symbol": "ACME", "open_day": 10.0, "high_day": 12.0, "low_day": 9.0, "volume_day": 150,
                 "close_before": 9.25},
        "BETA": {"symbol": "BETA", "open_day": 5.0, "high_day": 5.0, "low_day": 5.0, "volume_day": 0,
                 "close_before": None},
    }  # fmt: skip
    assert again is meanwhile is found, "who asks while another reads is not kept waiting"
    assert [timeframe for timeframe, *_ in market.asked] == ["1m", "1d", "1m"], "the close before is read once a day"
    assert market.asked[0][1:] == (("ACME", "BETA"), day_start_us(DAY), None)
    assert market.asked[1][3] == day_start_us(DAY)
    assert without == {}
