"""Our book against the broker's: evidence is applied, absence is raised, strangers are left alone."""

from __future__ import annotations

import pytest

from libs.contracts.orders import OrderStatus as S
from libs.contracts.orders import Side
from libs.orders import evidence as ev
from libs.orders.book import OrderBook
from libs.orders.model import Product
from libs.orders.positions import PositionBook
from libs.orders.reconcile import BrokerBook, Finding, compare
from tests.kit.orders import ACCEPTED, NO_ANSWER, OPEN_US, SENDING, make_fill, make_order, report, trade

NAME = make_order().order_id
KEY = ("nse", "ACME", Product.INTRADAY)


def ours(*evidence):
    book = OrderBook([make_order()])
    for item in (SENDING, *evidence):
        book.apply(NAME, item)
    return book


def theirs(*reports, trades=(), **positions):
    return BrokerBook(orders=reports, trades=tuple(trades), positions=positions.get("positions", {}))


def net(book):
    return PositionBook(fill for order in book for fill in order.fills).net()


def findings(book, broker):
    outcome = compare(book, broker, net(book))
    return [d.finding for d in outcome.differences]


def test_books_that_agree_find_nothing():
    book = ours(ACCEPTED, report(S.FILLED, 100), trade(100))
    broker = theirs(report(S.FILLED, 100, tag=NAME), trades=[make_fill(100)], positions={KEY: 100})
    outcome = compare(book, broker, net(book))

    assert (outcome.repairs, outcome.differences) == ((), ())


def test_what_the_broker_shows_and_we_lack_is_repaired():
    """A restart in the middle of a fill: order and trades come back from the broker, and then the books agree."""
    book = ours(NO_ANSWER)
    broker = theirs(report(S.FILLED, 100, tag=NAME), trades=[make_fill(60), make_fill(40, "t2")], positions={KEY: 100})
    outcome = compare(book, broker, net(book))
    assert outcome.differences == ()
    assert len(outcome.repairs) == 3
    assert book.get(NAME).status is S.UNKNOWN  # comparing changes nothing

    for repair in outcome.repairs:
        book.apply(repair.order_id, repair.evidence)
    assert book.get(NAME).is_settled
    again = compare(book, broker, net(book))
    assert (again.repairs, again.differences) == ((), ())


def test_absence_is_raised_and_repairs_nothing():
    book = ours(NO_ANSWER)
    outcome = compare(book, theirs(), net(book))

    assert outcome.repairs == ()
    assert [d.finding for d in outcome.differences] == [Finding.STILL_UNKNOWN]


HALF_FILLED = report(S.OPEN, 40, tag=NAME)
STRANGER_WITH_OUR_TAG = report(S.OPEN, broker_order_id="x1", tag="tf" + "f" * 32)
OPEN = report(S.OPEN, tag=NAME)
DIFFERENCES = [
    (ours(ACCEPTED, report(S.OPEN)), theirs(), {Finding.MISSING_AT_BROKER}),
    (ours(), theirs(STRANGER_WITH_OUR_TAG), {Finding.STILL_UNKNOWN, Finding.NOT_IN_JOURNAL}),
    (ours(ACCEPTED), theirs(report(S.FILLED, 100, tag=NAME)), {Finding.FILL_PENDING}),
    (ours(ACCEPTED, trade(40)), theirs(HALF_FILLED, positions={KEY: 40}), {Finding.TRADE_MISSING_AT_BROKER}),
    (
        ours(ACCEPTED, trade(40)),
        theirs(HALF_FILLED, trades=[make_fill(41)], positions={KEY: 40}),
        {Finding.CONTRADICTION},
    ),
    (ours(ACCEPTED), theirs(OPEN, trades=[make_fill(5, broker_order_id="x1")]), {Finding.UNEXPLAINED_TRADE}),
    (ours(ACCEPTED), theirs(OPEN, positions={KEY: 7}), {Finding.POSITION}),
    (OrderBook([make_order()]), theirs(OPEN), {Finding.CONTRADICTION}),
]


@pytest.mark.parametrize(("book", "broker", "expected"), DIFFERENCES)
def test_differences_are_raised(book, broker, expected):
    assert set(findings(book, broker)) == expected


def test_foreign_orders_are_seen_only_where_they_touch_us():
    """Orders the fleet did not place are left alone; in an instrument we hold they must be heard of."""
    book = ours(ACCEPTED, report(S.FILLED, 100), trade(100))
    own = (report(S.FILLED, 100, tag=NAME), report(S.FILLED, 30, broker_order_id="x1", quantity=30))
    fills = [make_fill(100), make_fill(30, "t9", broker_order_id="x1", side=Side.SELL)]
    here = compare(book, theirs(*own, trades=fills, positions={KEY: 70}), net(book))
    assert [(d.finding, d.figures) for d in here.differences] == [(Finding.FOREIGN_FILL, {"quantity": -30})]

    elsewhere = [make_fill(100), make_fill(30, "t9", broker_order_id="x1", symbol="OTHER")]
    other = ("nse", "OTHER", Product.INTRADAY)
    assert findings(book, theirs(*own, trades=elsewhere, positions={KEY: 100, other: 30})) == []


def test_a_reversed_trade_is_not_missed():
    book = ours(ACCEPTED, report(S.FILLED, 100), trade(100))
    book.apply(NAME, ev.TradeReversed(at_us=OPEN_US, key=make_fill(100).key))
    outcome = compare(book, theirs(report(S.FILLED, 100, tag=NAME), positions={}), {KEY: 0})

    assert outcome.differences == ()
