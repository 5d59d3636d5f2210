"""F2: every check rejects what it is for, with its figures, and passes what is right next to it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.contracts.risk import TradingState
from libs.core.errors import Corrupt
from libs.orders.model import Product, Purpose
from libs.orders.profit import Equity
from libs.risk import checks
from libs.risk.gate import ENTRY_CHECKS, EXIT_CHECKS
from libs.risk.limits import Override
from libs.risk.verdict import Approved, Rejected
from tests.kit.orders import MINUTE_US, OPEN_US, make_order
from tests.kit.risk import DAY, NOW_US, ask, make_gate

LIMIT = {"order_type": OrderType.LIMIT, "price": 100.0}
EXIT = {"purpose": Purpose.EXIT, "side": Side.SELL, "signal_id": "", "signal_us": 0}


def halted(state):
    state.trading_state = TradingState.HALTED


def reducing(state):
    state.trading_state = TradingState.REDUCING


def working(**changes):
    return lambda state: state.on_order(make_order(order_id="tf" + "2" * 32, signal_id="s2", **changes))


def sent(*ages_us):
    def record(state):
        for age_us in sorted(ages_us, reverse=True):
            state.rates.record(NOW_US - age_us)

    return record


def equity(now, start=10_000_000_00, peak=10_000_000_00):
    return lambda state: setattr(state, "equity", Equity(DAY, now, start, peak))


def silent(state):
    state.symbol("nse", "ACME").price_at_us = NOW_US - 121_000_000


def unpriced(state):
    state.symbol("nse", "ACME").price = 0.0


def money(paise, before=lambda _state: None, *, age_us=0, is_told=True):
    """The broker says what is free, and then something happens it could not know of."""

    def tell(state):
        if is_told:
            state.on_funds(paise, ())
        state.funds.age_us = age_us
        before(state)

    return tell


def losing(state):
    state.strategy_loss["trend"] = 10_000_00


def lost_and_reducing(state):
    """What a limit led to is not what rejects: a backtest, which has no states, names the limit, too."""
    losing(state)
    reducing(state)


def lost_and_halted(state):
    losing(state)
    halted(state)


SENT = OrderStatus.SENT
LATE = OPEN_US + 346 * MINUTE_US

#: (check that objects, what is asked, what happened before, limits that differ, when)
CASES = [
    ("instrument", ask(symbol="NOBODY"), None, {}, NOW_US),
    ("trading_state", ask(), halted, {}, NOW_US),
    ("trading_state", ask(), reducing, {}, NOW_US),
    ("trading_state", ask(**EXIT), halted, {}, NOW_US),
    ("market_hours", ask(), None, {}, OPEN_US - 1),
    ("market_hours", ask(**EXIT), None, {}, OPEN_US + 375 * MINUTE_US),
    ("market_hours", ask(signal_us=LATE), None, {"price_age_max_s": 0}, LATE),
    ("lot", ask(quantity=0), None, {}, NOW_US),
    ("lot", ask(quantity=-10), None, {}, NOW_US),
    ("tick", ask(order_type=OrderType.LIMIT, price=100.03), None, {}, NOW_US),
    ("tick", ask(order_type=OrderType.LIMIT, price=100.05000000000001), None, {}, NOW_US),
    ("tick", ask(order_type=OrderType.LIMIT), None, {}, NOW_US),
    ("tick", ask(order_type=OrderType.LIMIT, price=float("nan")), None, {}, NOW_US),
    ("tick", ask(order_type=OrderType.SL_M), None, {}, NOW_US),
    ("tick", ask(order_type=OrderType.SL_M, price_trigger=float("nan")), None, {}, NOW_US),
    ("freeze", ask(quantity=25_001), None, {"symbol_order_value_max_rupees": 0}, NOW_US),
    ("duplicate", ask(signal_id="s2"), working(), {}, NOW_US),
    ("duplicate", ask(order_id="tf" + "2" * 32), working(), {}, NOW_US),
    ("duplicate", ask(), working(), {}, NOW_US),
    ("unknown_order", ask(side=Side.SELL), working(status=OrderStatus.UNKNOWN), {}, NOW_US),
    ("stale_signal", ask(signal_us=NOW_US - 120_000_001), None, {}, NOW_US),
    ("stale_signal", ask(signal_us=NOW_US + 2_000_001), None, {}, NOW_US),
    ("market_price", ask(), silent, {}, NOW_US),
    ("market_price", ask(), unpriced, {}, NOW_US),
    ("price_band", ask(order_type=OrderType.LIMIT, price=105.05), None, {}, NOW_US),
    ("price_band", ask(order_type=OrderType.LIMIT, price=94.95), None, {}, NOW_US),
    ("price_band", ask(order_type=OrderType.SL_M, price_trigger=105.05), None, {}, NOW_US),
    ("price_band", ask(order_type=OrderType.LIMIT, price=150.05), None, {"price_band_max_percent": 0}, NOW_US),
    ("order_size", ask(quantity=11), None, {"symbol_order_max_quantity": 10}, NOW_US),
    ("order_size", ask(quantity=11), None, {"symbol_order_value_max_rupees": 1_000}, NOW_US),
    ("order_size", ask(quantity=11), None, {"strategy_order_value_max_rupees": 1_000}, NOW_US),
    ("order_size", ask(quantity=11), None, {"account_order_value_max_rupees": 1_000}, NOW_US),
    ("order_size", ask(**LIMIT | {"price": 100.05}), None, {"account_order_value_max_rupees": 1_000}, NOW_US),
    ("position_size", ask(quantity=11), None, {"symbol_position_max_quantity": 10}, NOW_US),
    ("position_size", ask(quantity=11), None, {"symbol_exposure_max_rupees": 1_000}, NOW_US),
    ("position_size", ask(quantity=11), None, {"strategy_exposure_max_rupees": 1_000}, NOW_US),
    ("position_size", ask(quantity=11), None, {"account_exposure_max_rupees": 1_000}, NOW_US),
    ("position_size", ask(quantity=11), equity(199_00, 199_00, 199_00), {}, NOW_US),
    ("position_size", ask(symbol="BETA"), working(), {"account_exposure_max_rupees": 10_999}, NOW_US),
    ("position_size", ask(strategy_id="other"), working(), {"symbol_exposure_max_rupees": 10_999}, NOW_US),
    ("funds", ask(), money(249_99), {}, NOW_US),
    ("funds", ask(), money(349_99), {"account_funds_reserve_rupees": 100}, NOW_US),
    ("funds", ask(), money(999_99), {"account_funds_margin_intraday_percent": 100}, NOW_US),
    ("funds", ask(product=Product.DELIVERY), money(999_99), {}, NOW_US),
    ("funds", ask(symbol="BETA"), money(2_749_99, working(status=OrderStatus.UNKNOWN)), {}, NOW_US),
    ("funds", ask(**LIMIT | {"price": 100.05}), money(250_00), {}, NOW_US),
    ("funds", ask(), money(10_000_00, age_us=300_000_001), {}, NOW_US),
    ("daily_trades", ask(symbol="BETA"), working(), {"account_trades_day_max": 1}, NOW_US),
    ("daily_trades", ask(symbol="BETA"), working(), {"strategy_trades_day_max": 1}, NOW_US),
    ("daily_trades", ask(strategy_id="other"), working(), {"symbol_trades_day_max": 1}, NOW_US),
    ("daily_loss", ask(), equity(9_975_000_00), {}, NOW_US),
    ("daily_loss", ask(), losing, {}, NOW_US),
    ("daily_loss", ask(), lost_and_reducing, {}, NOW_US),
    ("trading_state", ask(), lost_and_halted, {}, NOW_US),
    ("trading_state", ask(**EXIT), lost_and_halted, {}, NOW_US),
    ("drawdown", ask(), equity(9_000_000_00, 9_000_000_00), {}, NOW_US),
    ("order_rate", ask(), sent(*[500_000] * 8), {}, NOW_US),
    ("order_rate", ask(**EXIT), sent(*[500_000] * 10), {}, NOW_US),
    ("order_rate", ask(), sent(*[30_000_000] * 400), {}, NOW_US),
    ("order_rate", ask(), sent(*[1_000_000_000] * 1_600), {}, NOW_US),
    ("exit_quantity", ask(**EXIT, quantity=101), None, {}, NOW_US),
    ("exit_quantity", ask(**EXIT | {"side": Side.BUY}), None, {}, NOW_US),
    ("exit_quantity", ask(**EXIT, quantity=1), working(side=Side.SELL, purpose=Purpose.EXIT, status=SENT), {}, NOW_US),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "request_", "before", "limits", "now_us"), CASES, ids=lambda v: v if isinstance(v, str) else ""
)
def test_rejects(check, request_, before, limits, now_us):
    gate = make_gate(position=100 if request_.purpose is Purpose.EXIT else 0, **limits)
    if before:
        before(gate.state)
    verdict = gate.decide(request_, now_us)

    assert isinstance(verdict, Rejected), verdict
    assert verdict.check == check
    assert verdict.reason


NEIGHBOURS = [
    (ask(), None, {}, NOW_US),
    (ask(**EXIT), reducing, {}, NOW_US),
    (ask(**EXIT | {"purpose": Purpose.FLATTEN}), halted, {}, NOW_US),
    (ask(**EXIT), None, {}, LATE),
    (ask(**LIMIT | {"price": 100.05}), None, {}, NOW_US),
    (ask(**LIMIT | {"price": 105.0}), None, {}, NOW_US),
    (ask(quantity=5_000), None, {"symbol_order_value_max_rupees": 0}, NOW_US),
    (ask(signal_id="s2", replaces="tf" + "2" * 32, side=Side.SELL), working(), {}, NOW_US),
    (ask(side=Side.SELL), working(), {}, NOW_US),
    (ask(symbol="BETA"), working(status=OrderStatus.UNKNOWN), {}, NOW_US),
    (ask(strategy_id="other"), working(status=OrderStatus.UNKNOWN), {}, NOW_US),
    (ask(signal_us=NOW_US - 120_000_000), None, {}, NOW_US),
    (ask(**EXIT), silent, {}, NOW_US),
    (ask(quantity=10), None, {"symbol_order_value_max_rupees": 1_000}, NOW_US),
    (ask(quantity=10), None, {"symbol_position_max_quantity": 10, "account_exposure_max_rupees": 1_000}, NOW_US),
    (ask(symbol="BETA"), working(), {"account_exposure_max_rupees": 11_000}, NOW_US),
    (ask(), money(250_00), {}, NOW_US),
    (ask(), money(-1, age_us=300_000_001, is_told=False), {}, NOW_US),
    (ask(symbol="BETA"), money(2_750_00, working(status=OrderStatus.UNKNOWN)), {}, NOW_US),
    (ask(**EXIT), money(0, age_us=300_000_001), {}, NOW_US),
    (ask(), money(10_000_00, age_us=1 << 60), {"account_funds_age_max_s": 0}, NOW_US),
    (ask(), equity(9_975_000_01), {}, NOW_US),
    (ask(**EXIT), equity(1_000_00), {}, NOW_US),
    (ask(), sent(*[500_000] * 7, *[1_000_001] * 100), {}, NOW_US),
    (ask(**EXIT), sent(*[500_000] * 9), {}, NOW_US),
    (ask(**EXIT, quantity=100), None, {}, NOW_US),
]


@pytest.mark.parametrize(("request_", "before", "limits", "now_us"), NEIGHBOURS)
def test_approves_what_is_just_within(request_, before, limits, now_us):
    gate = make_gate(position=100 if request_.purpose is not Purpose.ENTRY else 0, **limits)
    if before:
        before(gate.state)
    verdict = gate.decide(request_, now_us)

    assert isinstance(verdict, Approved), verdict
    assert verdict.request is request_


def test_figures_tell_why():
    """Each rejection is stored with the figures that caused it."""
    verdict = make_gate(symbol_exposure_max_rupees=1_000).decide(ask(quantity=11), NOW_US)

    assert (verdict.check, dict(verdict.figures)) == ("position_size", {"worst": 1100.0, "max": 1000.0})


def test_every_check_stands_in_the_gate():
    """A file in checks/ that nobody calls protects nobody."""
    files = {path.stem for path in Path(checks.__file__).parent.glob("*.py")} - {"__init__"}
    called = {check.__module__.rsplit(".", 1)[1] for check in (*ENTRY_CHECKS, *EXIT_CHECKS)}
    tested = {case[0] for case in CASES}

    assert files == called
    assert files <= tested


def test_deciding_changes_nothing():
    gate = make_gate()
    first = [gate.decide(ask(), NOW_US) for _ in range(5)]

    assert all(isinstance(verdict, Approved) for verdict in first)
    assert gate.state.trades_account == 0


def test_nobody_else_makes_an_approval():
    """Brokers take an `Approved` for proof; it cannot be forged, copied out of bytes or edited."""
    approved = make_gate().decide(ask(), NOW_US)
    with pytest.raises(Corrupt, match="other than the risk gate"):
        Approved(ask(), NOW_US, object())
    with pytest.raises(AttributeError, match="ask the gate again"):
        approved.request = ask(quantity=10**6)
    with pytest.raises(Corrupt, match="not serialised"):
        pickle.dumps(approved)


def test_overrides_hold_where_they_are_meant():
    rows = (
        Override("symbol", "ACME", "symbol_order_value_max_rupees", 500),
        Override("strategy_symbol", "patient:ACME", "symbol_order_value_max_rupees", 2_000),
        Override("strategy", "patient", "signal_age_max_s", 3_600),
    )
    gate = make_gate(*rows)
    old = {"signal_us": NOW_US - 600_000_000}

    assert gate.decide(ask(), NOW_US).check == "order_size"
    assert isinstance(gate.decide(ask(symbol="BETA"), NOW_US), Approved)
    assert isinstance(gate.decide(ask(strategy_id="patient", **old), NOW_US), Approved)
    assert gate.decide(ask(symbol="BETA", **old), NOW_US).check == "stale_signal"
