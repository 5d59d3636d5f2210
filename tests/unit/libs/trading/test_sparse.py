"""DESIGN 8: the replay that passes bars over does what the bar-by-bar one does, to the paisa and the signal id."""

from __future__ import annotations

from datetime import date

import pytest

from libs.settings.risk import Risk
from libs.trading.loop import TradingLoop
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.form import EVENT, VECTORISED, choose_form, run_form
from services.backtest.recorder import RunRecorder
from services.backtest.request import make_request
from tests.kit.columns import CALENDAR, DAYS, columns

BUSY = {"symbol_trades_day_max": 0, "strategy_trades_day_max": 0, "account_trades_day_max": 0}


def outcome(form: str, request, data: RunData):
    desk = make_desk(request, data, request.risk(Risk()))
    recorder = RunRecorder(desk)
    host = run_form(form, request, data, TradingLoop(desk, request.fills, CALENDAR.session), recorder, CALENDAR)
    state = desk.gate.state
    return {
        "signals": recorder.signals, "decisions": recorder.decisions, "fills": recorder.fills,
        "orders": list(desk.orders), "equity": desk.equity_paise, "account": state.equity, "locks": state.locks,
        "faults": host.take_faults(), "positions": list(desk.positions), "exposure": state.account_exposure,
    }  # fmt: skip


#: Limits that look at the account; without them prices of what is held are told at the end of a day only.
ACCOUNT = (
    "account_loss_day_max_rupees", "strategy_loss_day_max_rupees", "account_drawdown_max_percent",
    "account_exposure_max_rupees", "strategy_exposure_max_rupees", "account_exposure_equity_max_percent",
)  # fmt: skip
VARIANTS = {
    "as live": {},
    "no limits": {"limits": BUSY | dict.fromkeys(ACCOUNT, 0)},
    "over night": {"parameters": {"flat_before_close_minutes": 0}, "exits": {"square_off": False},
                   "product": "delivery"},
    "over night without limits": {"parameters": {"flat_before_close_minutes": 0}, "exits": {"square_off": False},
                                  "limits": BUSY | dict.fromkeys(ACCOUNT, 0)},
    "running on": {"daily_anchor": False, "limits": BUSY},
    "locked by loss": {"limits": BUSY | {"account_loss_day_max_rupees": 300, "account_drawdown_max_percent": 0.2}},
    "exits": {"exits": {"stop_percent": 0.3, "target_percent": 0.5, "time_min": 40}, "limits": BUSY},
    "trailing": {"exits": {"trail_percent": 0.4}, "sizing": {"type": "equity_percent", "percent": 20.0}},
    "long only, partial": {"parameters": {"allow_short": False}, "fills": {"participation_percent_max": 10.0}},
}  # fmt: skip


@pytest.mark.parametrize("strategy", ["sma_cross", "supertrend", "bollinger_breakout", "rsi_reversion"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_passing_over_changes_nothing(strategy, variant):
    """Three symbols, one with holes, warm-up of an earlier day for two of them; nine ways to trade."""
    options = {"costs": False, "sizing": {"type": "fixed_quantity", "quantity": 20}} | VARIANTS[variant]
    request = make_request(strategy, ["AAA", "BBB", "CCC"], *DAYS, **options)
    early = {"start": date(2026, 1, 28), "end": date(2026, 1, 30)}
    data = RunData(
        (columns("AAA", 1), columns("BBB", 2, missing=0.2), columns("CCC", 3)),
        (columns("AAA", 4, **early), columns("BBB", 5, **early)), "", (), (),
    )  # fmt: skip

    event, vectorised = outcome(EVENT, request, data), outcome(VECTORISED, request, data)

    assert len(event["fills"]) >= 8
    for name, value in event.items():
        assert vectorised[name] == value, name


def test_a_form_that_is_not_equal_is_not_used(monkeypatch):
    """A wrong vectorised form costs time, never truth."""
    from libs.strategies.sma_cross import SmaCross
    from libs.strategies.wishes import Wishes

    request = make_request("sma_cross", ["AAA"], *DAYS)
    data = RunData((columns("AAA", 1),), (), "", (), ())
    right = choose_form(request, data, Risk(), CALENDAR)
    honest = SmaCross.wishes
    monkeypatch.setattr(SmaCross, "wishes", lambda self, columns: Wishes(-honest(self, columns).side))
    wrong = choose_form(request, data, Risk(), CALENDAR)
    other = choose_form(make_request("vwap_reversion", ["AAA"], *DAYS), data, Risk(), CALENDAR)

    assert right[0] == VECTORISED, right
    assert wrong == (EVENT, "its vectorised form was not equal on a sample of these bars")
    assert other == (EVENT, "vwap_reversion has no vectorised form")
