"""Evidence finds its order: by tag, by broker id, or it waits."""

from __future__ import annotations

import pytest

from libs.contracts.orders import OrderStatus as S
from libs.core.errors import Corrupt, Refused
from libs.core.ids import content_id
from libs.orders import evidence as ev
from libs.orders.book import OrderBook, is_our_tag
from libs.orders.model import Purpose, order_id
from libs.orders.news import FillRecorded
from libs.orders.replacement import replacement, why_not_replaceable
from tests.kit.orders import ACCEPTED, NO_ANSWER, OPEN_US, SENDING, make_order, report, trade

NAME = make_order().order_id


def sent_book():
    book = OrderBook([make_order()])
    book.apply(NAME, SENDING)
    return book


def test_trade_before_its_acknowledgement_waits_and_is_not_lost():
    """F6: the exchange may fill faster than the broker answers, and a trade carries no tag."""
    book = sent_book()
    assert book.route(trade(40)) == ()
    assert [fill.quantity for fill in book.waiting_trades()] == [40]

    news = book.apply(NAME, ACCEPTED)
    assert [n.fill.quantity for n in news if isinstance(n, FillRecorded)] == [40]
    assert book.get(NAME).status is S.PARTIALLY_FILLED
    assert book.waiting_trades() == []


def test_unknown_order_is_found_by_its_tag():
    book = sent_book()
    book.apply(NAME, NO_ANSWER)
    book.route(trade(100))
    book.route(report(S.FILLED, 100, tag=NAME))

    assert book.get(NAME).status is S.FILLED
    assert book.get(NAME).is_settled


def test_foreign_orders_are_seen_and_left_alone():
    book = sent_book()
    book.route(report(S.OPEN, broker_order_id="x9", tag=""))
    book.route(trade(10, broker_order_id="x9"))

    assert [fill.quantity for fill in book.foreign_trades()] == [10]
    assert book.waiting_trades() == []
    assert book.get(NAME).quantity_traded == 0


def test_one_broker_order_has_one_owner():
    book = sent_book()
    book.apply(NAME, ACCEPTED)
    book.add(make_order(order_id="tf" + "2" * 32))
    book.apply("tf" + "2" * 32, SENDING)
    with pytest.raises(Corrupt, match="belongs to"):
        book.apply("tf" + "2" * 32, ACCEPTED)


def test_an_intent_is_decided_once():
    book = sent_book()
    with pytest.raises(Corrupt, match="in the book already"):
        book.add(make_order())


def test_restored_book_knows_whose_ids_are_whose():
    book = sent_book()
    book.apply(NAME, ACCEPTED)
    restored = OrderBook(list(book))
    restored.route(trade(100))

    assert restored.get(NAME).status is S.FILLED


def test_only_settled_orders_retire():
    book = sent_book()
    book.apply(NAME, ACCEPTED)
    book.route(report(S.FILLED, 100))
    with pytest.raises(Corrupt, match="not settled"):
        book.retire(NAME)
    book.route(trade(100))
    book.retire(NAME)

    assert list(book) == []
    assert book.owner_of("b1") is None


def test_our_tags_are_known_and_fit_the_broker():
    name = order_id(signal_id=content_id("s"), purpose=Purpose.ENTRY)

    assert is_our_tag(name)
    assert len(name) <= 40
    assert not is_our_tag("tf-manual")
    assert name != order_id(signal_id=content_id("s"), purpose=Purpose.EXIT)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ((ACCEPTED, report(S.OPEN)), "may still trade"),
        ((NO_ANSWER,), "may still trade"),
        ((ev.PlaceRefused(at_us=OPEN_US, reason="margin"),), "not accounted"),
        ((ACCEPTED, report(S.CANCELLED, 40)), "trades not seen"),
        ((ACCEPTED, trade(100)), "nothing is left"),
        ((ACCEPTED, trade(100), report(S.FILLED, 100)), "nothing is left"),
        ((ACCEPTED, report(S.CANCELLED, 40), trade(40)), ""),
    ],
)
def test_replacement_only_after_an_accounted_cancel(evidence, reason):
    """A replacement that goes out too early buys twice."""
    book = sent_book()
    for item in evidence:
        book.apply(NAME, item)
    order = book.get(NAME)

    assert reason in why_not_replaceable(order)
    assert bool(reason) == bool(why_not_replaceable(order))
    if reason:
        with pytest.raises(Refused):
            replacement(order, order_id="tf" + "9" * 32, created_us=OPEN_US)
    else:
        second = replacement(order, order_id="tf" + "9" * 32, created_us=OPEN_US, price=101.0)
        assert (second.quantity, second.price, second.replaces, second.status) == (60, 101.0, NAME, S.INTENT)
