"""F4: what each kind of answer proves about an order, and rows as the broker's own documents spell them."""

from __future__ import annotations

import pytest

from libs.contracts.orders import OrderStatus, Side
from libs.core.errors import RetryLater
from libs.orders import evidence as ev
from libs.orders.model import Product
from tests.kit.broker_bench import Bench, upstox_broker
from tests.kit.recorded_book import HOLDING, KEY, ORDER, POSITION, TRADE, ok
from tests.kit.recorded_broker import recorded_broker

PLACE = "POST /v3/order/place"


@pytest.fixture(scope="module")
def recorded():
    with recorded_broker() as broker:
        yield broker


@pytest.fixture
def bench(recorded):
    recorded.asked.clear()
    recorded.answers = {
        "GET /v2/order/retrieve-all": ok([ORDER]), "GET /v2/order/trades/get-trades-for-day": ok([TRADE]),
        "GET /v2/portfolio/short-term-positions": ok([POSITION]), "GET /v2/portfolio/long-term-holdings": ok([HOLDING]),
        "GET /v3/user/get-funds-and-margin": ok({"available_to_trade": {"total": 1234.56, "cash": {}}}),
    }  # fmt: skip
    broker = upstox_broker(recorded.port, KEY, with_stream=False, read_timeout_s=1)
    try:
        yield Bench(broker, 100.0)
    finally:
        broker.close()


@pytest.mark.parametrize(
    ("answer", "proves", "word"),
    [
        (ok({"order_ids": ["1", "2"]}), ev.Accepted, "accepted"),
        ((400, {"status": "error", "errors": [{"errorCode": "UDAPI1052"}]}), ev.PlaceRefused, "rejected"),
        ((401, {"status": "error", "errors": [{"errorCode": "UDAPI100050"}]}), ev.PlaceRefused, "rejected"),
        ((429, {"status": "error", "errors": [{"errorCode": "UDAPI10005"}]}), ev.PlaceRefused, "not_taken"),
        ((408, {}), ev.NoAnswer, "unknown"),
        ((500, {}), ev.NoAnswer, "unknown"),
        ((503, b"<html>"), ev.NoAnswer, "unknown"),
        ((200, b"<html>"), ev.NoAnswer, "unknown"),
        (ok({"order_ids": []}), ev.NoAnswer, "unknown"),
        ((200, {"status": "error", "data": None}), ev.NoAnswer, "unknown"),
        (None, ev.NoAnswer, "unknown"),
        (1.5, ev.NoAnswer, "unknown"),
    ],
)
def test_what_an_answer_proves(recorded, bench, answer, proves, word):
    """Only the broker's own no is a rejection; and whatever comes, the request is made once."""
    recorded.answers[PLACE] = answer
    order, approved = bench.approve()
    bench.broker.place(order, approved)
    found = bench.answer("place")

    assert (type(found.evidence), found.outcome) == (proves, word)
    sent = recorded.bodies(PLACE)
    assert len(sent) == 1
    assert (sent[0]["tag"], sent[0]["market_protection"], sent[0]["slice"]) == (order.order_id, -1, True)


def test_nothing_left_where_nobody_listens(bench, recorded):
    """A connection that was never made is no unknown order."""
    with recorded_broker() as other:
        port = other.port
    broker = upstox_broker(port, KEY, with_stream=False)
    lonely = Bench(broker, 100.0)
    broker.place(*lonely.approve())

    assert lonely.answer("place").outcome == "not_taken"
    broker.close()


def test_cancels_and_changes_that_were_not_answered_prove_nothing(recorded, bench):
    recorded.answers[PLACE] = ok({"order_ids": ["1"]})
    order = bench.place()
    recorded.answers |= {"DELETE /v3/order/cancel": None, "PUT /v3/order/modify": (500, {})}
    bench.broker.cancel(order, 1)
    assert (bench.answer("cancel").evidence, bench.answer("cancel").outcome) == (None, "unknown")
    assert len(recorded.bodies("DELETE /v3/order/cancel")) == 1


def test_rows_as_the_broker_spells_them(bench):
    """Both shapes of its times, whole numbers with a point, nulls, and fields nobody knows yet."""
    book = bench.book()

    row = book.orders[0]
    assert (row.status, row.quantity, row.quantity_filled, row.tag) == (OrderStatus.FILLED, 10, 10, "")
    fill = book.trades[0]
    assert (fill.symbol, fill.side, fill.quantity, fill.product) == ("ACME", Side.BUY, 10, Product.DELIVERY)
    assert fill.key == ("2026-02-02", "nse", "231019025562880", "50091502")
    assert fill.timestamp_us == 1_770_018_956_000_000  # 13:25:56 in India
    key = ("nse", "ACME", Product.DELIVERY)
    assert (book.positions, book.holdings, book.funds_paise) == ({key: 10}, {key: 5}, 123_456)


def test_a_status_nobody_knows_ends_nothing(recorded, bench):
    recorded.answers["GET /v2/order/retrieve-all"] = ok([ORDER | {"status": "pondering", "filled_quantity": 0}])

    assert bench.book().orders[0].status is OrderStatus.ACKNOWLEDGED


def test_half_a_reading_is_none(recorded, bench):
    """An error is never evidence of absence."""
    recorded.answers["GET /v2/portfolio/short-term-positions"] = (500, {})
    found = []
    bench.broker.read_book(found.append)
    bench.until(lambda: bool(found), "the reading")

    assert isinstance(found[0], RetryLater)
