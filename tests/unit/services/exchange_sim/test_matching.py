"""The matching engine against the seeded prices: what fills, what rests, what is refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from services.exchange_sim.exchange import orders as states
from services.exchange_sim.exchange.orders import Order, Request
from tests.unit.services.exchange_sim.conftest import DAY, Desk, at, make_desk

NOW = at(10)
QUANTITY_EASY = 5


def submit(desk: Desk, now_ms: int = NOW, **terms: Any) -> Order:
    share = desk.market.listing.instruments[0]
    defaults = {"instrument": share, "is_buy": True, "quantity": QUANTITY_EASY, "product": "I", "validity": "DAY",
                "order_type": "MARKET"}  # fmt: skip
    order = desk.engine.receive(Request(**{**defaults, **terms}), now_ms)
    desk.engine.process(order, now_ms)
    return order


def price(desk: Desk, now_ms: int = NOW) -> float:
    return desk.market.price(desk.market.listing.instruments[0], now_ms)


def statuses(order: Order) -> list[str]:
    return [row["status"] for row in order.history]


def test_market_order_takes_the_book_level_by_level(desk):
    share = desk.market.listing.instruments[0]
    levels = desk.market.quote(share, NOW).depth
    order = submit(desk, quantity=levels[0][2] + 1)

    assert order.status == states.COMPLETE
    assert [(fill.quantity, fill.price) for fill in order.fills] == [(levels[0][2], levels[0][3]), (1, levels[1][3])]
    assert statuses(order) == [states.RECEIVED, states.VALIDATION_PENDING, states.OPEN_PENDING, states.OPEN,
                               states.OPEN, states.COMPLETE]  # fmt: skip


def test_big_market_order_is_filled_in_parts_by_later_trades(desk):
    order = submit(desk, quantity=5000)
    at_once = order.quantity_filled
    desk.engine.play(NOW, NOW + 60_000)

    assert 0 < at_once < 5000
    assert order.quantity_filled == 5000
    assert len(order.fills) > 5
    path = desk.market.path(order.request.instrument, DAY)
    traded = {(int(moment), float(p)) for moment, p in zip(path.times_ms, path.prices, strict=True)}
    assert all((fill.at_ms, fill.price) in traded for fill in order.fills if fill.at_ms > NOW)


@pytest.mark.parametrize("is_buy", [True, False])
def test_resting_limit_fills_only_when_a_trade_reaches_it(desk, is_buy):
    """The oracle looks the first trade up that is good enough; nothing may fill before it, nor at another price."""
    share = desk.market.listing.instruments[0]
    away = share.round_price(price(desk) * (0.999 if is_buy else 1.001))
    order = submit(desk, order_type="LIMIT", price=away, is_buy=is_buy)
    path = desk.market.path(share, DAY)
    first = next(
        int(moment) for moment, traded in zip(path.times_ms, path.prices, strict=True)
        if moment > NOW and (traded <= away if is_buy else traded >= away)
    )  # fmt: skip
    desk.engine.play(NOW, first - 1)
    before = order.quantity_filled
    desk.engine.play(first - 1, first + 600_000)

    assert before == 0
    assert order.fills[0].at_ms == first
    assert {fill.price for fill in order.fills} == {away}
    assert order.status == states.COMPLETE


def rise(desk: Desk) -> tuple[int, float, int, float]:
    """A trade after NOW whose successor is dearer: their times and prices."""
    path = desk.market.path(desk.market.listing.instruments[0], DAY)
    rows = list(zip(path.times_ms.tolist(), path.prices.tolist(), strict=True))
    return next((*a, *b) for a, b in pairwise(rows) if a[0] > NOW and b[0] > a[0] + 10 and b[1] > a[1])


def test_trades_before_an_order_are_none_of_its_business(desk):
    """Windows are longer than the time between trades: what traded earlier in the same window fills nothing."""
    cheap_ms, cheap, later_ms, _ = rise(desk)
    order = submit(desk, cheap_ms + 1, order_type="LIMIT", price=cheap)
    desk.engine.play(cheap_ms - 100, later_ms)

    assert order.status == states.OPEN
    assert order.quantity_filled == 0


def test_new_terms_do_not_reach_back(desk):
    """A better price counts from the modification on, not from the beginning of the window it falls in."""
    cheap_ms, cheap, later_ms, _ = rise(desk)
    share = desk.market.listing.instruments[0]
    order = submit(desk, order_type="LIMIT", price=share.round_price(cheap * 0.98))
    desk.engine.play(NOW, cheap_ms - 1)
    desk.engine.modify(order, Request(share, True, 5, "I", "DAY", "LIMIT", price=cheap), cheap_ms + 1)
    desk.engine.play(cheap_ms - 1, later_ms)

    assert order.quantity_filled == 0


def test_cancelling_comes_after_what_traded_before_it(desk):
    """An order that was reached before the cancellation came is filled, as at an exchange."""
    cheap_ms, cheap, _, _ = rise(desk)
    order = submit(desk, cheap_ms - 1, order_type="LIMIT", price=cheap, quantity=1)
    resting = order.status == states.OPEN
    cancelled = desk.engine.cancel(order, cheap_ms + 1)

    assert cancelled is (not resting)
    assert order.quantity_filled == 1


def test_stop_waits_for_its_trigger(desk):
    share = desk.market.listing.instruments[0]
    trigger = share.round_price(price(desk) * 1.001)
    order = submit(desk, order_type="SL-M", trigger_price=trigger)
    waiting = order.status
    path = desk.market.path(share, DAY)
    hit = next(
        int(moment) for moment, traded in zip(path.times_ms, path.prices, strict=True)
        if moment > NOW and traded >= trigger
    )  # fmt: skip
    desk.engine.play(NOW, hit - 1)
    still = order.status
    desk.engine.play(hit - 1, hit)

    assert (waiting, still) == (states.TRIGGER_PENDING, states.TRIGGER_PENDING)
    assert order.status == states.COMPLETE
    assert order.fills[0].price >= trigger


def test_immediate_or_cancel_keeps_what_it_got(desk):
    order = submit(desk, quantity=5000, validity="IOC", order_type="LIMIT", price=round(price(desk) * 1.01, 0))

    assert order.status == states.CANCELLED
    assert 0 < order.quantity_filled < 5000
    assert order.quantity_pending == 0


REFUSED = {
    "funds": ({"quantity": 7000, "product": "D"}, "Insufficient funds"),
    "holdings": ({"is_buy": False, "product": "D"}, "Insufficient holdings"),
    "freeze": ({"quantity": 71_001}, "freeze"),
    "tick": ({"order_type": "LIMIT", "price": 800.03}, "tick size"),
    "circuit": ({"order_type": "LIMIT", "price": 1000.0}, "circuit"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_end_in_rejected_with_a_reason(market, case):
    terms, reason = REFUSED[case]
    desk = make_desk(market, cash=1_000_000.0 if case == "funds" else 1e9)
    order = submit(desk, **terms)

    assert order.status == states.REJECTED
    assert reason in order.message
    assert order.fills == []


def test_halted_share_is_refused_and_its_orders_sleep(desk):
    share = desk.market.listing.instruments[0]
    resting = submit(desk, order_type="LIMIT", price=share.round_price(price(desk) * 0.999))
    desk.engine.is_halted = lambda instrument: instrument is share
    desk.engine.play(NOW, NOW + 3_600_000)

    assert resting.status == states.OPEN
    assert submit(desk).status == states.REJECTED


def test_modification_may_cross_the_market(desk):
    share = desk.market.listing.instruments[0]
    order = submit(desk, order_type="LIMIT", price=share.round_price(price(desk) * 0.98))
    better = Request(share, True, QUANTITY_EASY, "I", "DAY", "LIMIT", price=share.round_price(price(desk) * 1.01))

    assert desk.engine.modify(order, better, NOW)
    assert order.status == states.COMPLETE
    assert states.MODIFIED in statuses(order)


def test_modification_the_exchange_refuses_leaves_the_order_as_it_was(desk):
    share = desk.market.listing.instruments[0]
    resting = share.round_price(price(desk) * 0.98)
    order = submit(desk, order_type="LIMIT", price=resting)
    desk.engine.modify(order, Request(share, True, 5, "I", "DAY", "LIMIT", price=resting * 3), NOW)

    assert order.status == states.OPEN
    assert order.request.price == resting
    assert states.NOT_MODIFIED in statuses(order)


def test_what_is_open_expires_at_the_close_and_after_market_orders_wait_for_the_opening(desk):
    share = desk.market.listing.instruments[0]
    resting = submit(desk, order_type="LIMIT", price=share.round_price(price(desk) * 0.95))
    desk.engine.end_session(at(15, 30))
    parked = submit(desk, at(16), is_amo=True)
    waiting = parked.status
    tomorrow = at(9, 15, 1) + 86_400_000
    desk.engine.release_after_market_orders(tomorrow)

    assert resting.status == states.CANCELLED
    assert "expired" in resting.message
    assert waiting == states.AMO_RECEIVED
    assert parked.status == states.COMPLETE


def test_position_is_the_sum_of_fills_and_money_follows(desk):
    bought = submit(desk, quantity=30)
    sold = submit(desk, is_buy=False, quantity=50)
    position = desk.account.positions[(bought.request.instrument.key, "I")]

    assert position.quantity == bought.quantity_filled - sold.quantity_filled == -20
    assert position.average_price == position.sell_price
    assert position.realised == pytest.approx(30 * (sold.average_price - bought.average_price), abs=0.02)
    assert desk.account.margin_used([]) == pytest.approx(20 * position.sell_price * 0.2, abs=0.02)


def test_delivery_becomes_a_holding_that_can_be_sold(desk):
    bought = submit(desk, product="D", quantity=10)
    cash = desk.account.cash
    desk.account.end_day(lambda _: 900.0)
    desk.book.end_day()
    tomorrow = NOW + 86_400_000
    sold = submit(desk, tomorrow, product="D", is_buy=False, quantity=10)

    assert desk.account.cash == pytest.approx(cash - 10 * bought.average_price, abs=0.02)
    assert sold.status == states.COMPLETE
    desk.account.end_day(lambda _: 900.0)
    assert desk.account.holdings == {}
    assert desk.account.cash == pytest.approx(cash + 10 * (sold.average_price - bought.average_price), abs=0.05)


def test_intraday_position_is_squared_off_at_the_close(desk):
    bought = submit(desk, quantity=10)
    desk.account.end_day(lambda _: 900.0)

    assert desk.account.positions == {}
    assert desk.account.cash == pytest.approx(1_000_000 + 10 * (900.0 - bought.average_price), abs=0.05)
