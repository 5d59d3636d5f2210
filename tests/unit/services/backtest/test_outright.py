"""A point worked out without its minutes is the loop's, fill by fill and bar by bar, or is not worked out so."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from libs.core.clock import trading_date
from libs.settings.risk import Risk
from libs.trading.ground import NotOutright
from libs.trading.loop import TradingLoop
from services.backtest import metrics
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.equity import Deals, Valuation, equity_curve
from services.backtest.form import EVENT, VECTORISED, run_form
from services.backtest.outright import Outright, told
from services.backtest.recorder import RunRecorder
from services.backtest.request import make_request
from services.backtest.sweep.point import branch_of
from services.backtest.traded import Traded
from tests.kit.columns import CALENDAR, DAYS, columns

SYMBOLS = ("AAA", "BBB")
#: A wild walk trades more often and loses more than the fleet allows.
FREE = dict.fromkeys(
    ("symbol_trades_day_max", "strategy_trades_day_max", "account_trades_day_max", "account_loss_day_max_rupees",
     "strategy_loss_day_max_rupees"), 0
)  # fmt: skip


def data_of(seed: int, *, missing: float) -> RunData:
    days = {"end": DAYS[0] + timedelta(days=3)}
    return RunData((columns("AAA", seed, **days), columns("BBB", seed + 1, missing=missing, **days)), (), (), ())


def only(data: RunData, symbols) -> RunData:
    return msgspec.structs.replace(data, columns=tuple(each for each in data.columns if each.symbol in symbols))


def by_the_loop(request, data):
    desk = make_desk(request, data, request.risk(Risk()))
    recorder = RunRecorder(desk)
    run_form(EVENT, request, data, TradingLoop(desk, request.fills, CALENDAR.session), recorder, CALENDAR)
    return recorder.fills


def outright(request, data):
    return Outright(request, data, request.risk(Risk()), CALENDAR).run(request, data)


def random_request(chance: random.Random):
    """Ask for the two strategies whose entries have no stop; the others are refused."""
    strategy = chance.choice(["sma_cross", "sma_cross", "rsi_reversion"])
    parameters = {"allow_short": chance.random() < 0.5, "flat_before_close_minutes": chance.choice([0, 15, 40])}
    if strategy == "sma_cross":
        parameters |= {"fast": chance.randint(2, 8), "slow": chance.randint(9, 30)}
    else:
        parameters |= {"period": chance.randint(5, 14), "stop_atrs": 0.0}
    symbols = SYMBOLS if chance.random() < 0.5 else SYMBOLS[:1]
    return make_request(
        strategy, list(symbols), *DAYS, parameters=parameters, costs=chance.random() < 0.5,
        daily_anchor=chance.random() < 0.5, exits={"square_off": chance.random() < 0.7},
        product=chance.choice(["intraday", "delivery"]), limits=FREE,
        fills={"slippage_ticks": chance.choice([0, 2]), "slippage_basis_points": chance.choice([0.0, 3.0])},
        sizing=chance.choice([{"type": "fixed_quantity", "quantity": 7}, {"type": "fixed_value", "rupees": 30_000}]),
    )  # fmt: skip


def test_random_runs_are_the_loops():
    """Whatever it does not refuse is equal: nights, holes, slippage, charges, square-off, both sides."""
    worked_out, kinds = 0, set()
    for seed in range(20):
        chance = random.Random(seed)
        request = random_request(chance)
        data = only(data_of(seed, missing=chance.choice([0.0, 0.3])), request.symbols)
        try:
            deals, trips, worth = outright(request, data)
        except NotOutright:
            continue
        fills = by_the_loop(request, data)
        traded = Traded(fills)
        expected = equity_curve(data.columns, traded.deals, request.cash_paise)
        figures = metrics.compute(data.columns, expected, traded, request.cash_paise)
        curve, timeline = (
            Valuation(data.columns).curve(deals, request.cash_paise),
            metrics.Timeline(expected.timestamps),
        )
        worked_out += 1
        kinds.add((request.strategy, len(data.columns)))

        assert told(deals) == told(Deals.of(fills)), f"seed {seed}"
        for name in ("cash", "equity", "exposure"):
            np.testing.assert_array_equal(getattr(curve, name), getattr(expected, name), f"seed {seed}: {name}")
        overall = metrics.overall(worth, timeline, deals, trips, request.cash_paise)
        assert overall == {name: figures[name, ""] for name in overall}, f"seed {seed}"
    assert worked_out >= 15, "to refuse nearly everything would be no proof"
    assert len(kinds) == 4, "every strategy with one symbol and with two"


def test_a_square_off_finds_no_bar_when_it_is_due():
    """One bar in fifty: entries fill behind the square-off and go at once, days end before it and go next morning."""
    late = carried = 0
    for seed in range(6):
        days = {"end": DAYS[1]}
        thin = columns("AAA", seed, missing=0.98, **days), columns("BBB", 90 + seed, missing=0.98, **days)
        data = RunData(thin, (), (), ())
        request = make_request(
            "sma_cross", list(SYMBOLS), *DAYS, parameters={"fast": 2, "slow": 3, "flat_before_close_minutes": 0},
            daily_anchor=False, costs=False, limits=FREE, sizing={"type": "fixed_quantity", "quantity": 7},
        )  # fmt: skip
        deals, fills = outright(request, data).deals, by_the_loop(request, data)
        assert told(deals) == told(Deals.of(fills)), f"seed {seed}"
        sparse = RunRecorder(desk := make_desk(request, data, request.risk(Risk())))
        run_form(
            VECTORISED, request, data, TradingLoop(desk, request.fills, CALENDAR.session), sparse, CALENDAR
        )  # fmt: skip
        assert sparse.fills == fills, f"seed {seed}"
        for one, other in pairwise(fills):
            late += (one.symbol, one.timestamp_us) == (other.symbol, other.timestamp_us) and one.side is not other.side
        for symbol in SYMBOLS:
            own = [fill.timestamp_us for fill in fills if fill.symbol == symbol]
            carried += sum(trading_date(one) < trading_date(two) for one, two in zip(own[::2], own[1::2], strict=False))
    assert late >= 3
    assert carried >= 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"limits": {"symbol_trades_day_max": 2}}, "symbol's trades of a day"),
        ({"limits": {"strategy_trades_day_max": 4}}, "trades of a day"),
        ({"limits": {"symbol_order_value_max_rupees": 9_000}}, "order's value"),
        ({"limits": {"symbol_exposure_max_rupees": 9_000}}, "exposure"),
        ({"limits": {"symbol_order_max_quantity": 19}}, "quantity"),
        ({"limits": {"account_loss_day_max_rupees": 20}}, "day's loss"),
        ({"limits": {"account_drawdown_max_percent": 0.001}}, "drawdown"),
        ({"limits": {"order_rate_max": [10, 1, 2000]}}, "orders in 60 s"),
        ({"exits": {"stop_percent": 1.0}}, "exits of its own"),
        ({"fills": {"participation_percent_max": 10.0}}, "in part"),
        ({"sizing": {"type": "equity_percent", "percent": 5.0}}, "follows the account"),
    ],
)
def test_what_a_limit_may_hold_back_is_left_to_the_loop(changes, words):
    options = {"costs": False, "sizing": {"type": "fixed_quantity", "quantity": 20}} | changes
    request = make_request("sma_cross", list(SYMBOLS), *DAYS, **options)

    with pytest.raises(NotOutright, match=words):
        outright(request, data_of(1, missing=0.0))


def test_parameters_take_one_way_or_another():
    """What is proved for 10 and 30 holds for 5 and 20, and not for a switch or a 0, which is one."""
    assert branch_of({"fast": 10, "slow": 30, "short": True}) == branch_of({"fast": 5, "slow": 20.5, "short": True})
    assert branch_of({"fast": 10, "short": True}) != branch_of({"fast": 10, "short": False})
    assert branch_of({"fast": 0}) != branch_of({"fast": 10})
