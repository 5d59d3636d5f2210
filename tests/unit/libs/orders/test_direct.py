"""The short cut of the simulated exchange gives what the state machine gives, order and news."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from libs.contracts.orders import OrderType, Side
from libs.orders import evidence as ev
from libs.orders.book import OrderBook
from libs.orders.direct import (
    PlainOrder,
    accepted_whole,
    broker_id,
    filled_whole,
    is_plain,
    news_of_acceptance,
    news_of_fill,
    trade_id,
)
from libs.orders.lifecycle import apply
from libs.orders.model import Fill, Order, Product, Purpose
from libs.orders.positions import PositionBook


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


@pytest.mark.parametrize(("side", "purpose"), [(Side.BUY, Purpose.ENTRY), (Side.SELL, Purpose.EXIT)])
def test_what_is_spelled_out_is_the_long_way(side, purpose):
    """An order nobody asked for while it lived is the one the short cut would have kept, before its trade and after."""
    order = intent(side=side, purpose=purpose, strategy_id="trend", product=Product.DELIVERY)
    working = accepted_whole(order, broker_id("tf1"))
    fill = Fill(
        exchange="nse", broker_order_id=broker_id("tf1"), trade_id=trade_id(7), symbol="ACME", side=side, quantity=10,
        price=100.0, timestamp_us=7, product=Product.DELIVERY, strategy_id="trend", order_id="tf1",
    )  # fmt: skip
    book = OrderBook()
    plain = PlainOrder(
        "tf1", "s1", "trend", "ACME", "nse", Product.DELIVERY, side, purpose, 10, order.created_us, "why"
    )
    book.note(plain)
    before, was_owned = book.get("tf1"), book.owner_of("sim-tf1")
    plain.trade_number, plain.price, plain.timestamp_us, plain.fees_paise = 7, 100.0, 7, 23

    assert (before, was_owned, plain.is_spelled) == (working, "tf1", True)
    assert plain.order() == filled_whole(working, fill)[0]
    assert plain.fill(23) == replace(fill, fees_paise=23)


def test_fills_that_were_noted_are_fills_like_others():
    """What is noted of trades can be told, annulled, and followed by a trade that comes before one of them."""
    fills = [
        Fill(
            exchange="nse", broker_order_id=broker_id(f"tf{n}"), trade_id=trade_id(n), symbol="ACME", side=side,
            quantity=10, price=100.0 + n, timestamp_us=at_us, strategy_id="trend", order_id=f"tf{n}",
        )
        for n, side, at_us in [(1, Side.BUY, 5), (2, Side.SELL, 9), (3, Side.BUY, 9), (4, Side.SELL, 20)]
    ]  # fmt: skip
    told, noted = PositionBook(), PositionBook()
    key = noted.key("trend", "ACME", "nse", Product.INTRADAY)
    for fill in fills:
        plain = PlainOrder(
            fill.order_id, "s", "trend", "ACME", "nse", fill.product, fill.side, Purpose.ENTRY, 10, 4, "why",
            int(fill.trade_id), fill.price, fill.timestamp_us,
        )  # fmt: skip

        assert noted.note(key, plain) == told.apply(fill)

    assert noted.fills(key) == told.fills(key)
    assert noted.apply(fills[3]) == told.apply(fills[3]), "a trade that is told again counts once"
    assert noted.reverse(fills[1].key) == told.reverse(fills[1].key)


def test_only_what_is_plain_takes_the_short_cut():
    """A part, a second trade, a cancel on its way: the state machine decides."""
    working = accepted_whole(intent(), "b")
    cancelling, _ = applied(working, ev.CancelSending(at_us=6, number=1))

    assert not is_plain(working, 9)
    assert not is_plain(intent(), 10)
    assert not is_plain(cancelling, 10)
