"""DESIGN 8: the replay that passes bars over does what the bar-by-bar one does, to the paisa and the signal id."""

from __future__ import annotations

import random
from dataclasses import astuple
from datetime import date

import pytest

from libs.settings.risk import Risk
from libs.trading.loop import TradingLoop
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.form import EVENT, VECTORISED, choose_form, run_form
from services.backtest.recorder import RunRecorder
from services.backtest.request import make_request
from tests.kit.columns import CALENDAR, columns

#: A week: every way trades at least eight times in it.
DAYS = (date(2026, 2, 2), date(2026, 2, 7))

BUSY = {"symbol_trades_day_max": 0, "strategy_trades_day_max": 0, "account_trades_day_max": 0}


def week(symbol: str, seed: int, **how):
    return columns(symbol, seed, start=DAYS[0], end=DAYS[1], **how)


def outcome(form: str, request, data: RunData):
    desk = make_desk(request, data, request.risk(Risk()))
    recorder = RunRecorder(desk)
    host = run_form(form, request, data, TradingLoop(desk, request.fills, CALENDAR.session), recorder, CALENDAR)
    state = desk.gate.state
    return {
        "signals": recorder.signals, "decisions": recorder.decisions, "fills": recorder.fills,
        "orders": list(desk.orders), "equity": desk.equity_paise, "account": state.equity, "locks": state.locks,
        "faults": host.take_faults(), "positions": list(desk.positions), "exposure": state.account_exposure,
        "reasons": recorder.reasons, "finished": recorder.finished_us, "log": recorder.log, "guards": desk.guards,
        "holdings": {key: astuple(holding) for key, holding in state.holdings.items()},
        "of strategies": (state.strategy_exposure, state.strategy_loss, state.trades_strategy, state.trades_symbol),
        "known": (state.order_ids, state.signals_answered, state.trades_account),
        "prices": {key: (symbol.price, symbol.price_at_us) for key, symbol in state.symbols.items()},
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


STRATEGIES = ["sma_cross", "supertrend", "bollinger_breakout", "rsi_reversion"]
#: In `make test` every way by two of the strategies, and every strategy in four of the ways at least.
PAIRS = [
    pytest.param(variant, strategy, marks=() if (row + column) % 2 == 0 else pytest.mark.matrix)
    for row, variant in enumerate(VARIANTS)
    for column, strategy in enumerate(STRATEGIES)
]


@pytest.mark.parametrize(("variant", "strategy"), PAIRS)
def test_passing_over_changes_nothing(strategy, variant):
    """Three symbols, one with holes, warm-up of an earlier day for two of them; nine ways to trade."""
    options = {"costs": False, "sizing": {"type": "fixed_quantity", "quantity": 20}} | VARIANTS[variant]
    request = make_request(strategy, ["AAA", "BBB", "CCC"], *DAYS, **options)
    early = {"start": date(2026, 1, 28), "end": date(2026, 1, 30)}
    data = RunData(
        (week("AAA", 1), week("BBB", 2, missing=0.2), week("CCC", 3)),
        (columns("AAA", 4, **early), columns("BBB", 5, **early)), (), (),
    )  # fmt: skip

    event, vectorised = outcome(EVENT, request, data), outcome(VECTORISED, request, data)

    assert len(event["fills"]) >= 8
    for name, value in event.items():
        assert vectorised[name] == value, name


#: Each of these sends some orders, or all, the long way, or rejects them.
MENU = {
    "costs": [True, False],
    "product": ["intraday", "intraday", "delivery"],
    "daily_anchor": [True, False],
    "parameters": [{}, {"allow_short": False}, {"flat_before_close_minutes": 0}, {"flat_before_close_minutes": 1}],
    "sizing": [
        {"type": "fixed_quantity", "quantity": 20}, {"type": "fixed_value", "rupees": 9_000},
        {"type": "equity_percent", "percent": 5.0},
    ],
    "fills": [
        {}, {}, {"slippage_ticks": 2, "slippage_basis_points": 3.0}, {"participation_percent_max": 1.5},
    ],
    "exits": [{}, {"square_off": False}, {"stop_percent": 0.3}, {"trail_percent": 0.4, "time_min": 60}],
    "limits": [
        {}, BUSY, BUSY | dict.fromkeys(ACCOUNT, 0), BUSY | {"strategy_loss_day_max_rupees": 150},
        {"symbol_trades_day_max": 3}, BUSY | {"order_rate_max": [1, 2, 30]},
        BUSY | {"account_drawdown_max_percent": 0.3}, BUSY | {"symbol_order_max_quantity": 19},
        BUSY | {"last_entry_before_close_min": 200},
    ],
}  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_plain_orders_leave_what_the_long_way_leaves(seed):
    """Orders of every kind on two symbols: gate, book, positions, money, guards and records end up the same."""
    rng = random.Random(seed)
    options = {name: rng.choice(choices) for name, choices in MENU.items()}
    strategy = rng.choice(["sma_cross", "supertrend", "bollinger_breakout"])
    request = make_request(strategy, ["AAA", "BBB"], *DAYS, **options)
    days = {"start": DAYS[0], "end": date(2026, 2, 5)}
    data = RunData(
        (columns("AAA", seed, **days), columns("BBB", 100 + seed, missing=0.3, **days)), (), (), ()
    )  # fmt: skip

    event, vectorised = outcome(EVENT, request, data), outcome(VECTORISED, request, data)

    for name, value in event.items():
        assert vectorised[name] == value, (name, strategy, options)


def test_plain_orders_take_the_short_way(monkeypatch):
    """What is plain is never matched, nor decided on, by the loop: that is where the time goes."""
    request = make_request("sma_cross", ["AAA"], *DAYS, costs=False, exits={"square_off": False},
                           parameters={"allow_short": False, "flat_before_close_minutes": 0}, limits=BUSY)  # fmt: skip
    asked = []
    monkeypatch.setattr(TradingLoop, "fill", lambda self, bar: asked.append(bar) or [])
    monkeypatch.setattr(TradingLoop, "exits", lambda self, bar: asked.append(bar) or [])
    monkeypatch.setattr(
        TradingLoop, "on_signal", lambda self, signal, bar, now_us: asked.append(signal.signal_type) or []
    )
    found = outcome(VECTORISED, request, RunData((columns("AAA", 1),), (), (), ()))

    assert len(found["fills"]) >= 50
    assert set(asked) <= {"exit_long"}, "an exit where there is no position yet is the long way's"


def test_a_form_that_is_not_equal_is_not_used(monkeypatch):
    """A wrong vectorised form costs time, never truth."""
    from libs.strategies.sma_cross import SmaCross
    from libs.strategies.wishes import Wishes

    request = make_request("sma_cross", ["AAA"], *DAYS)
    data = RunData((week("AAA", 1),), (), (), ())
    right = choose_form(request, data, Risk(), CALENDAR)
    honest = SmaCross.wishes
    monkeypatch.setattr(SmaCross, "wishes", lambda self, columns: Wishes(-honest(self, columns).side))
    wrong = choose_form(request, data, Risk(), CALENDAR)
    other = choose_form(make_request("vwap_reversion", ["AAA"], *DAYS), data, Risk(), CALENDAR)

    assert right[0] == VECTORISED, right
    assert wrong == (EVENT, "its vectorised form was not equal on a sample of these bars")
    assert other == (EVENT, "vwap_reversion has no vectorised form")
