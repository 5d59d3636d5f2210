"""A run over days that are not like the others: the Muhurat hour of an evening, a Saturday of two short sessions."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from libs.core.clock import US_PER_MINUTE, trading_date
from libs.settings.risk import Risk
from libs.trading.columns import Columns
from libs.trading.loop import TradingLoop
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.form import EVENT, VECTORISED, run_form
from services.backtest.recorder import RunRecorder
from services.backtest.request import make_request
from tests.kit.columns import CALENDAR


def minutes_of(first: date, last: date) -> Columns:
    """Every minute of the sessions there are, in waves that leave a position held when each nears its end."""
    stamps = np.array([at for session in CALENDAR.sessions(first, last) for at in session.bar_starts("1m")])
    close = np.round(100 + 2 * np.sin(np.arange(len(stamps)) * 2 * np.pi / 18), 1)
    open_ = np.concatenate([close[:1], close[:-1]])
    volume = np.full(len(stamps), 1000, dtype=np.int64)
    return Columns("AAA", stamps, open_, np.maximum(open_, close), np.minimum(open_, close), close, volume)


@pytest.mark.parametrize(
    ("first", "special", "last"),
    [
        (date(2025, 10, 20), date(2025, 10, 21), date(2025, 10, 23)),  # Diwali: an hour on a holiday
        (date(2024, 3, 1), date(2024, 3, 2), date(2024, 3, 4)),  # a Saturday of two short sessions
    ],
)
def test_a_special_session_is_traded_and_ended_like_any_other(first, special, last):
    """Entries end and positions go before its own close, nothing is asked for when it is shut, and both forms agree."""
    bars = minutes_of(first, last)
    session = CALENDAR.session(special)
    assert session is not None
    request = make_request(
        "sma_cross", ["AAA"], first, last, costs=False, sizing={"type": "fixed_quantity", "quantity": 10},
        parameters={"fast": 2, "slow": 5, "flat_before_close_minutes": 0}, daily_anchor=False,
        limits={"symbol_trades_day_max": 0, "last_entry_before_close_min": 15},
    )  # fmt: skip
    risk, found = request.risk(Risk()), []
    for form in (EVENT, VECTORISED):
        data = RunData((bars,), (), (), ())
        recorder = RunRecorder(desk := make_desk(request, data, risk))
        run_form(form, request, data, TradingLoop(desk, request.fills, CALENDAR.session), recorder, CALENDAR)
        found.append((recorder.fills, recorder.signals, desk.equity_paise))
        assert not desk.positions.open()
    fills = found[0][0]
    own = [fill for fill in fills if trading_date(fill.timestamp_us) == special]
    left_us = session.last_us - risk.square_off_before_close_min * US_PER_MINUTE

    assert found[0] == found[1]
    assert len(own) > 4
    assert {fill.timestamp_us for fill in own} <= set(session.bar_starts("1m")), "only in its own minutes"
    assert max(fill.timestamp_us for fill in own) <= left_us + US_PER_MINUTE
    assert sum(fill.quantity if fill.side.value == "buy" else -fill.quantity for fill in own) == 0
