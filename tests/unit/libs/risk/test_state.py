"""What the gate knows is kept by differences; from scratch it comes to the same."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from msgspec.structs import replace

from libs.contracts.orders import OrderStatus as S
from libs.contracts.orders import Side
from libs.core.errors import Refused
from libs.core.money import UNITS_PER_RUPEE
from libs.orders.model import Child, Product, Purpose
from libs.orders.positions import Position, PositionKey
from libs.orders.profit import Equity
from libs.risk.limits import NO_LIMIT, LimitTree, Override
from libs.risk.rates import RateWindows
from libs.settings.risk import Risk
from tests.kit.orders import OPEN_US, make_order
from tests.kit.risk import DAY, NOW_US, make_gate


@pytest.mark.parametrize("seed", range(20))
def test_exposure_is_the_sum_whatever_happened(seed):
    """Hundreds of orders, fills and prices later, the running exposures equal those computed anew; whenever asked."""
    rng = random.Random(seed)
    state = make_gate().state
    orders, positions = {}, {}
    for i in range(300):
        if rng.random() < 0.3:
            assert_exposures_are_sums(state, orders, positions)
        symbol, strategy = rng.choice(["ACME", "BETA"]), rng.choice(["trend", "revert"])
        action = rng.random()
        if action < 0.3:
            state.on_price("nse", symbol, rng.randint(1_000, 3_000) * 0.05, NOW_US + i)
        elif action < 0.5:
            key = PositionKey(strategy, symbol)
            positions[key] = Position(key, rng.randint(-200, 200))
            state.on_position(positions[key])
        else:
            order = rng.choice(list(orders.values())) if orders and rng.random() < 0.6 else None
            if order is None:
                order = make_order(
                    order_id=f"o{i}", signal_id=f"s{i}", symbol=symbol, strategy_id=strategy,
                    side=rng.choice(list(Side)), quantity=rng.randint(1, 100), status=S.SENT,
                )  # fmt: skip
            elif rng.random() < 0.5:
                order = replace(order, status=rng.choice([S.REJECTED, S.UNKNOWN, S.OPEN]))
            orders[order.order_id] = order
            state.on_order(order)

    assert_exposures_are_sums(state, orders, positions)
    alive = [o for o in orders.values() if o.status is not S.REJECTED]
    assert state.trades_account == len(alive)


def assert_exposures_are_sums(state, orders, positions):
    by_strategy, account = {"trend": 0, "revert": 0}, 0
    for symbol in ("ACME", "BETA"):
        units = state.symbol("nse", symbol).units
        net = [0, 0, 0]
        for strategy in by_strategy:
            mine = [o for o in orders.values() if (o.symbol, o.strategy_id) == (symbol, strategy)]
            buying = sum(o.quantity_reserved for o in mine if o.side is Side.BUY)
            selling = sum(o.quantity_reserved for o in mine if o.side is Side.SELL)
            key = PositionKey(strategy, symbol)
            quantity = positions[key].quantity if key in positions else 0
            by_strategy[strategy] += max(quantity + buying, selling - quantity, 0) * units
            net = [net[0] + quantity, net[1] + buying, net[2] + selling]
        account += max(net[0] + net[1], net[2] - net[0], 0) * units
    assert {name: state.strategy_exposure.get(name, 0) for name in by_strategy} == by_strategy
    assert state.account_exposure == account
    for strategy, exposure in by_strategy.items():
        state_of, own = state.holding(strategy, "nse", "ACME", Product.INTRADAY)
        elsewhere = (account - state_of.net.exposure, exposure - own.exposure)
        assert state.exposed_elsewhere(strategy, state_of.net, own) == elsewhere


def test_order_that_came_to_nothing_is_no_trade_of_the_day():
    state = make_gate().state
    order = make_order(status=S.SENT)
    state.on_order(order)
    state.on_order(order)
    assert state.trades_account == 1

    state.on_order(replace(order, status=S.REJECTED))
    assert state.trades_account == 0


def test_settled_order_holds_nothing_back_and_stays_counted():
    state = make_gate().state
    child = Child("b1", S.FILLED, 100, 100, 100)
    state.on_order(make_order(status=S.OPEN))
    assert state.account_exposure == 10_000 * UNITS_PER_RUPEE
    state.on_order(make_order(status=S.FILLED, children=(child,), quantity_traded=100))

    assert (state.account_exposure, state.trades_account) == (0, 1)


def test_another_day_counts_anew():
    state = make_gate().state
    state.on_order(make_order(status=S.OPEN))
    state.on_day(DAY + timedelta(days=1))
    state.on_order(make_order(status=S.OPEN))

    assert (state.trades_account, state.account_exposure) == (0, 10_000 * UNITS_PER_RUPEE)


def test_locks_outlive_the_recovery():
    """A day that lost its limit stays locked when a late mark recovers; the next day is free, a drawdown is not."""
    gate = make_gate()
    limits = gate.limits.resolve("", "")
    state = gate.state
    state.on_equity(Equity(DAY, 8_900_000_00, 10_000_000_00, 10_000_000_00), limits)
    state.on_equity(Equity(DAY, 10_000_000_00, 10_000_000_00, 10_000_000_00), limits)

    assert (state.locks.day, state.locks.is_drawdown) == (DAY, True)


def test_exits_are_held_against_the_position():
    state = make_gate(position=100).state
    exit_order = make_order(side=Side.SELL, purpose=Purpose.EXIT, status=S.UNKNOWN)
    state.on_order(exit_order)
    _, holding = state.holding("trend", "nse", "ACME", exit_order.product)

    assert (holding.exiting, holding.unknown) == (100, 1)


def test_windows_count_what_lies_inside_them():
    windows = RateWindows([(1_000_000, 3), (10_000_000, 5)])
    for at_us in (0, 100, 200):
        windows.record(at_us)
    assert windows.full_window(999_999) == (1_000_000, 3)
    assert windows.full_window(1_000_000) is None
    windows.record(1_000_000)
    windows.record(2_000_000)
    assert windows.full_window(5_000_000) == (10_000_000, 5)
    assert windows.full_window(10_000_000) is None


@pytest.mark.parametrize("seed", range(10))
def test_windows_equal_a_count_of_everything(seed):
    rng = random.Random(seed)
    windows = RateWindows([(1_000, 4), (10_000, 20)], entries_percent=50)
    sent, now_us = [], 0
    for _ in range(500):
        now_us += rng.randint(0, rng.choice((600, 600, 9_000)))
        counts = {length: sum(now_us - at < length for at in sent) for length in (1_000, 10_000)}
        assert (windows.full_window(now_us) is None) == (counts[1_000] < 4 and counts[10_000] < 20)
        assert (windows.full_window(now_us, is_entry=True) is None) == (counts[1_000] < 2 and counts[10_000] < 10)
        if windows.full_window(now_us) is None:
            windows.record(now_us)
            sent.append(now_us)


def test_zero_is_no_limit():
    limits = LimitTree(Risk(symbol_exposure_max_rupees=0)).resolve("trend", "ACME")

    assert limits.symbol_exposure_max == NO_LIMIT


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (Override("symbol", "ACME", "account_exposure_max_rupees", 1), "wider scope"),
        (Override("strategy_symbol", "trend:ACME", "strategy_trades_day_max", 1), "wider scope"),
        (Override("symbol", "ACME", "no_such_limit", 1), "expected one of"),
        (Override("planet", "earth", "slices_max", 1), "scopes are"),
        (Override("symbol", "", "slices_max", 1), "scopes are"),
        (Override("all", "", "slices_max", -1), "less means nothing"),
        (Override("all", "", "order_rate_max", 1), "cannot be overridden|can be overridden"),
    ],
)
def test_overrides_that_make_no_sense_are_refused(row, message):
    with pytest.raises(Refused, match=message):
        LimitTree(Risk(), [row])


def test_settings_that_contradict_are_refused():
    with pytest.raises(ValueError, match="each window needs its limit"):
        Risk(order_rate_window_s=(1,))
    with pytest.raises(ValueError, match="after the square-off"):
        Risk(last_entry_before_close_min=5)
    assert OPEN_US
