"""The short cut of the simulated exchange gives what the state machine gives, order and news."""

from __future__ import annotations

import pytest

from libs.contracts.orders import OrderType, Side
from libs.orders import evidence as ev
from libs.orders.direct import accepted_whole, filled_whole, is_plain, news_of_acceptance, news_of_fill
from libs.orders.lifecycle import apply
from libs.orders.model import Fill, Order, Purpose


def intent(**changes) -> Order:
    fields = {
        "order_id": "tf1", "signal_id": "s1", "strategy_id": "trend", "symbol": "ACME", "side": Side.BUY,
        "order_type": OrderType.MARKET, "quantity": 10, "created_us": 5,
    }  # fmt: skip
    return Order(**(fields | changes))


def applied(order: Order, *evidence):
    news = []
    for item in evidence:
        order, more = apply(order, item)
        news += more
    return order, news


@pytest.mark.parametrize(
    "order", [intent(), intent(side=Side.SELL, purpose=Purpose.EXIT), intent(order_type=OrderType.LIMIT, price=99.0)]
)
def test_the_short_cut_is_the_long_way(order):
    accepted = ev.Accepted(at_us=6, broker_order_ids=("sim-tf1",))
    fill = Fill(
        exchange="nse", broker_order_id="sim-tf1", trade_id="1", symbol="ACME", side=order.side, quantity=10,
        price=100.0, timestamp_us=7,
    )  # fmt: skip
    working, news = applied(order, ev.Sending(at_us=6), accepted)
    filled, more = applied(working, ev.TradeReport(at_us=7, fill=fill))

    assert (accepted_whole(order, "sim-tf1"), news_of_acceptance(order, 6)) == (working, news)
    assert is_plain(working, 10)
    assert filled_whole(working, fill) == (filled, filled.fills[0])
    assert news_of_fill(filled, filled.fills[0], 7) == more


def test_only_what_is_plain_takes_the_short_cut():
    """A part, a second trade, a cancel on its way: the state machine decides."""
    working = accepted_whole(intent(), "b")
    cancelling, _ = applied(working, ev.CancelSending(at_us=6, number=1))

    assert not is_plain(working, 9)
    assert not is_plain(intent(), 10)
    assert not is_plain(cancelling, 10)
