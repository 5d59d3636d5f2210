"""One intent, several orders at the broker: the engine with the real SDK against the broker's recorded rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from libs.contracts.orders import OrderStatus
from libs.core.errors import Refused
from libs.simulation.clock import ManualClock
from tests.kit.broker_bench import upstox_broker
from tests.kit.crashes import Crash, crashing_at
from tests.kit.engine import START_US, Rig, engine_rig
from tests.kit.engine_commands import ask
from tests.kit.recorded_book import KEY, RecordedBook
from tests.kit.recorded_broker import recorded_broker

PLACE, CANCEL = "POST /v3/order/place", "DELETE /v3/order/cancel"


@pytest.fixture
def recorded():
    with recorded_broker() as broker:
        yield broker


@pytest.fixture
def life(recorded, tmp_path):
    """Gives engines one after the other, on one store; each is a life, and leaving it is a crash."""
    clock = ManualClock(START_US)

    class Life:
        def __enter__(self) -> Rig:
            self.broker = upstox_broker(recorded.port, KEY, with_stream=False, market_us=clock.now_us)
            self.rig = engine_rig(tmp_path / "data", clock=clock, wire=self.broker, sizing_amount=250.0)
            return self.rig.__enter__()

        def __exit__(self, *what: object) -> None:
            self.rig.__exit__(*what)
            self.broker.close()

    return Life


def until(rig: Rig, condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.005)
        rig.wire.deliver()


def reconcile(rig: Rig) -> None:
    rig.reconciler.take(rig.wire.book(rig.clock.now_us()), "timer", 0)


def only_order(rig: Rig) -> Any:
    (order,) = rig.engine.desk.orders
    return order


def test_slices_are_found_by_their_tag_and_add_up(recorded, life):
    """The answer is lost with the process: the tag leads to all three, their trades to the position."""
    book = RecordedBook(recorded, freeze_quantity=100)
    with life() as rig, crashing_at("engine.answer.before"):
        rig.tick(100.0)
        with pytest.raises(Crash):
            rig.signal("enter_long")
            until(rig, lambda: False, "the answer")
    with life() as rig:
        rig.tick(100.0)
        assert only_order(rig).status is OrderStatus.UNKNOWN
        reconcile(rig)

        order = only_order(rig)
        assert order.status is OrderStatus.FILLED
        assert [child.quantity for child in order.children] == [100, 100, 50]
        assert rig.positions() == {("trend", "ACME"): 250}
        assert rig.rows("SELECT count(*), sum(quantity) FROM trades") == [(3, 250)]
        reconcile(rig)
        assert rig.rows("SELECT outcome FROM reconciliations ORDER BY reconciliation_id DESC LIMIT 1") == [("equal",)]
    assert len(book.orders) == 3
    assert len(recorded.bodies(PLACE)) == 1


def test_one_slice_does_not_explain_the_others(recorded, life):
    """A slice that the book shows explains itself alone: the rest may be on its way, and the order stays unknown."""
    book = RecordedBook(recorded, freeze_quantity=100)
    recorded.answers[PLACE] = lambda asked: (book._place(asked), 0)[1]  # carried out, and no answer
    with life() as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        until(rig, lambda: not rig.engine.in_flight, "the lost answer")
        names = list(book.orders)
        hidden = {name: book.orders.pop(name) for name in names[1:]}
        trades, book.trades = book.trades, [row for row in book.trades if row["order_id"] == names[0]]
        reconcile(rig)
        assert (only_order(rig).status, rig.positions()) == (OrderStatus.UNKNOWN, {("trend", "ACME"): 100})
        rig.signal("enter_long", signal_id="more", leg=1)
        assert len(recorded.bodies(PLACE)) == 1, "what is unknown blocks its instrument for its strategy"

        book.orders |= hidden
        book.trades = trades
        reconcile(rig)
        assert (only_order(rig).status, rig.positions()) == (OrderStatus.FILLED, {("trend", "ACME"): 250})


def test_every_slice_is_cancelled_and_none_is_modified(recorded, life):
    """Other terms for three orders cannot be one request: refused; a cancel reaches each that lives."""
    book = RecordedBook(recorded, freeze_quantity=100)
    book.is_resting = True
    with life() as rig:
        rig.tick(100.0)
        rig.signal("enter_long")
        until(rig, lambda: not rig.engine.in_flight, "the answer")
        book.fill(next(iter(book.orders)), 100)
        reconcile(rig)
        name = only_order(rig).order_id
        for quantity in (200, 300):
            with pytest.raises(Refused):
                ask(rig, "modify", f"to {quantity}", order_id=name, quantity=quantity, price=99.0)
        assert recorded.bodies("PUT /v3/order/modify") == []
        ask(rig, "cancel", order_id=name)
        until(rig, lambda: not rig.engine.in_flight, "the cancels")
        reconcile(rig)

        assert only_order(rig).status is OrderStatus.CANCELLED
        assert rig.positions() == {("trend", "ACME"): 100}
    assert len(recorded.bodies(CANCEL)) == 2, "the filled one is left alone"
