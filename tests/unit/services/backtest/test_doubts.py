"""What a reader of the figures must know is in the log; and shares are bought with money that is there."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from libs.settings.risk import Risk
from libs.trading.loop import TradingLoop
from services.backtest.account import make_desk
from services.backtest.data import RunData, SymbolData
from services.backtest.doubts import doubts_of_data, doubts_of_fills
from services.backtest.form import EVENT, run_form
from services.backtest.recorder import RunRecorder
from services.backtest.request import make_request
from tests.kit.columns import CALENDAR, columns

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 2, day) for day in (2, 3, 4))


def ran(parts, **options):
    request = make_request("sma_cross", [each.symbol for each in parts], MONDAY, WEDNESDAY, **options)
    data = RunData(parts, (), (), ())
    desk = make_desk(request, data, request.risk(Risk()))
    recorder = RunRecorder(desk)
    run_form(EVENT, request, data, TradingLoop(desk, request.fills, CALENDAR.session), recorder, CALENDAR)
    return desk, recorder


def test_symbols_that_are_not_there_all_the_time_are_named():
    """A share listed on Tuesday, one gone after Monday, a split, a day nobody has."""
    parts = (
        columns("AAA", 1, start=MONDAY, end=WEDNESDAY), columns("BBB", 2, start=TUESDAY, end=WEDNESDAY),
        columns("CCC", 3, start=MONDAY, end=MONDAY),
    )  # fmt: skip
    split = SymbolData("AAA", 1, 1, 1, ((TUESDAY.isoformat(), -0.5),))

    told = [(row.event, *row.detail.values()) for row in doubts_of_data(RunData(parts, (), (TUESDAY,), (split,)))]

    assert told == [
        ("data.day_missing", "2026-02-03"), ("data.begins_late", "BBB", "2026-02-03"),
        ("data.ends_early", "CCC", "2026-02-02"), ("data.corporate_gap", "AAA", "2026-02-03", -0.5),
    ]  # fmt: skip


def test_fills_in_minutes_nothing_traded_in_are_counted():
    """Volume in every second bar; and what is held at the end is named, for no trade says what it came to."""
    bars = columns("AAA", 1, start=MONDAY, end=MONDAY).part(0, 300)  # the day goes on
    bars.volume[::2] = 0
    desk, recorder = ran((bars,), exits={"square_off": False}, parameters={"flat_before_close_minutes": 0})
    minutes = [(fill.timestamp_us - int(bars.timestamps[0])) // 60_000_000 for fill in recorder.fills]
    expected = sum(minute % 2 == 0 for minute in minutes)

    told = {row.event: row.detail for row in doubts_of_fills((bars,), recorder.fills, desk)}

    assert told["fills.without_volume"] == {"symbol": "AAA", "fills": expected, "of": len(minutes)}
    assert 0 < expected < len(minutes)
    held = sum(fill.quantity if fill.side.value == "buy" else -fill.quantity for fill in recorder.fills)
    assert told["position.open"]["quantity"] == held != 0
    bars.volume[:] = 1
    assert "fills.without_volume" not in {row.event for row in doubts_of_fills((bars,), recorder.fills, desk)}


@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 1.0), ({"limits": {"account_exposure_equity_max_percent": 150}}, 1.5), ({"product": "intraday"}, 2.4)],
)
def test_shares_are_paid_in_full(options, most):
    """Four symbols at 60 % of the account each: one fits into the cash for delivery, two where a limit says so."""
    parts = tuple(columns(name, seed, start=MONDAY, end=MONDAY) for seed, name in enumerate("ABCD"))
    desk, recorder = ran(
        parts, sizing={"type": "equity_percent", "percent": 60.0}, costs=False,
        **{"product": "delivery", "cash_rupees": 100_000, **options},
    )  # fmt: skip
    held, peak = dict.fromkeys("ABCD", 0.0), 0.0
    for fill in recorder.fills:
        held[fill.symbol] += fill.price * fill.quantity * (1 if fill.side.value == "buy" else -1)
        peak = max(peak, float(np.sum(np.abs([value for value in held.values() if abs(value) > 1_000]))))

    assert most * 0.55 < peak / 100_000 < most * 1.02
    assert desk.equity_paise > 0


def test_a_strategy_that_is_never_warm_says_so():
    """No signals at all look like a quiet strategy; too few bars before the run only delay the first."""
    bars = columns("AAA", 1, start=TUESDAY, end=TUESDAY)
    before = columns("AAA", 2, start=MONDAY, end=MONDAY).part(0, 10)
    data = RunData((bars.part(0, 20),), (before,), (), ())

    told = {
        wanted: [(row.level, row.event, row.detail) for row in doubts_of_data(data, wanted)] for wanted in (10, 29, 30)
    }

    short = {"symbol": "AAA", "bars": 10}
    assert told == {
        10: [], 29: [("info", "data.warmup_short", short | {"wanted": 29})],
        30: [("warning", "data.warmup_short", short | {"wanted": 30})],
    }  # fmt: skip
