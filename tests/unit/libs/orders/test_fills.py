"""Simulated fills: never better than the market was, the same model for the paper broker and the backtest."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.market import OHLCVBar, Tick
from libs.contracts.orders import OrderType, Side
from libs.orders.fills import FillSettings, Resting, match_bar, match_tick
from tests.kit.orders import OPEN_US

PLAIN = FillSettings(spread_ticks=0)


def bar(open_=100.0, high=102.0, low=98.0, close=101.0, volume=1_000, at_us=OPEN_US):
    return OHLCVBar("ACME", "1m", at_us, open_, high, low, close, volume)


def rest(side="buy", order_type="market", **changes):
    fields = {"order_id": "o1", "symbol": "ACME", "quantity": 100, "tick_size": 0.05} | changes
    return Resting(side=Side(side), order_type=OrderType(order_type), **fields)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (rest(), 100.0),
        (rest("sell"), 100.0),
        (rest(order_type="limit", price=99.0), 99.0),
        (rest(order_type="limit", price=101.0), 100.0),
        (rest(order_type="limit", price=98.0), None),
        (rest("sell", "limit", price=101.0), 101.0),
        (rest("sell", "limit", price=102.0), None),
        (rest(order_type="sl_m", price_trigger=101.0), 101.0),
        (rest(order_type="sl_m", price_trigger=99.5), 100.0),
        (rest(order_type="sl_m", price_trigger=102.5), None),
        (rest("sell", "sl_m", price_trigger=99.0), 99.0),
        (rest("sell", "sl_m", price_trigger=100.5), 100.0),
        (rest(order_type="sl", price_trigger=101.0, price=101.5), 101.0),
        (rest(since_us=OPEN_US + 1), None),
    ],
)
def test_bar_fills(order, expected):
    """Market at the open; a limit only when the price goes past it; a stop at its trigger, or at a worse open."""
    after, trade = match_bar(order, bar(), PLAIN)

    assert (trade.price if trade else None) == expected
    assert after.quantity == (0 if trade else 100)


def test_stop_limit_beyond_its_limit_rests_triggered():
    """Gapped over its limit: it does not fill at a price nobody would have given, but it is a live limit order now."""
    order = rest(order_type="sl", price_trigger=99.0, price=99.5)
    after, trade = match_bar(order, bar(open_=101.0, low=100.0), PLAIN)
    assert trade is None
    assert after.is_triggered

    _, trade = match_bar(after, bar(open_=99.4, low=99.0, at_us=OPEN_US + 60_000_000), PLAIN)
    assert trade is not None
    assert trade.price == 99.4


def test_slippage_and_spread_are_against_us():
    settings = FillSettings(slippage_ticks=2, slippage_basis_points=5, spread_ticks=2)
    tick = Tick("ACME", OPEN_US, 100.0, volume=50)
    _, bought = match_tick(rest(), tick, settings)
    _, sold = match_tick(rest("sell"), tick, settings)
    _, at_ask = match_tick(rest(), Tick("ACME", OPEN_US, 100.0, bid=99.9, ask=100.1, volume=50), PLAIN)

    assert (bought.price, sold.price, at_ask.price) == (100.25, 99.8, 100.1)


def test_a_bar_without_volume_fills_unless_a_share_of_it_is_asked_for():
    """Quotes stand where nobody trades, and many feeds know no volume: an exit must not wait there for ever."""
    nothing = bar(volume=0)
    shared = FillSettings(participation_percent_max=99.9)

    assert match_bar(rest(quantity=150), nothing, PLAIN)[1].quantity == 150
    assert match_bar(rest(quantity=150), nothing, shared)[1] is None


def test_partial_fills_take_their_share_of_the_volume():
    settings = FillSettings(participation_percent_max=10, spread_ticks=0)
    order, first = match_bar(rest(quantity=150), bar(volume=1_000), settings)
    order, second = match_bar(order, bar(volume=1_000), settings)
    order, third = match_bar(order, bar(volume=5), settings)

    assert (first.quantity, second.quantity, third, order.quantity) == (100, 50, None, 0)


def test_marketable_limit_slips_no_further_than_its_limit():
    settings = FillSettings(slippage_ticks=100)
    _, trade = match_bar(rest(order_type="limit", price=100.5), bar(), settings)

    assert trade.price == 100.5


def test_stop_on_ticks_triggers_once_and_fills_at_what_is_there():
    order = rest("sell", "sl_m", price_trigger=99.0)
    order, trade = match_tick(order, Tick("ACME", OPEN_US, 99.05, volume=10), PLAIN)
    assert trade is None
    order, trade = match_tick(order, Tick("ACME", OPEN_US + 1, 97.5, volume=10), PLAIN)

    assert trade.price == 97.5


PRICES = st.integers(1_000, 40_000).map(lambda steps: float(Decimal(steps) * Decimal("0.05")))


@given(
    st.lists(PRICES, min_size=4, max_size=4), st.sampled_from(list(Side)), st.sampled_from(list(OrderType)),
    PRICES, PRICES, st.integers(0, 5), st.integers(1, 500),
)  # fmt: skip
def test_no_fill_is_better_than_the_market_was(prices, side, order_type, limit, trigger, slip, volume):
    """A buy never pays less than the bar's low, a limit not more than its price, a stop not less than its trigger."""
    first, *_, last = prices
    candle = bar(first, max(prices), min(prices), last, volume)
    order = rest(side.value, order_type.value, price=limit, price_trigger=trigger)
    after, trade = match_bar(order, candle, FillSettings(slippage_ticks=slip, participation_percent_max=50))
    if trade is None:
        assert after.quantity == order.quantity
        return
    sign = 1 if side is Side.BUY else -1
    assert sign * trade.price >= sign * (candle.low if side is Side.BUY else candle.high)
    assert Decimal(repr(trade.price)) % Decimal("0.05") == 0
    assert 0 < trade.quantity <= volume // 2
    if order_type in {OrderType.LIMIT, OrderType.SL}:
        assert sign * trade.price <= sign * limit
    if order_type is OrderType.SL_M:
        assert sign * trade.price >= sign * trigger
    if order_type is OrderType.MARKET:
        assert sign * trade.price >= sign * candle.open
