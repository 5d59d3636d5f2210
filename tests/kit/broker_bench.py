"""A broker with somebody behind it who notes what it says: the same for every broker there is."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from libs.brokers.interface import Answer, Broker
from libs.brokers.upstox import UpstoxBroker
from libs.core.clock import SystemClock
from libs.core.errors import FleetError
from libs.orders import evidence as ev
from libs.orders.instrument import Instrument
from libs.orders.model import Order
from libs.orders.reconcile import BrokerBook
from libs.risk.verdict import Approved
from libs.settings import Settings
from libs.upstox.credentials import Scope
from libs.upstox.orders import OrderCalls
from libs.upstox.session import BrokerSession
from tests.kit.own_orders import OwnOrders
from tests.kit.risk import NOW_US, ask, make_gate
from tests.kit.roots import settings as default_settings


class Bench:
    """Places orders in ACME. `move` makes the market come."""

    def __init__(self, broker: Broker, price: float, move: Callable[[], object] = lambda: None) -> None:
        self.broker = broker
        self.price = price
        self.answers: list[Answer] = []
        self.reports: list[ev.BrokerReport | ev.TradeReport] = []
        broker.answered = self.answers.append
        broker.reported = self._note
        self._move = move

    def approve(self, **changes: Any) -> tuple[Order, Approved]:
        """An order the gate let pass, and its approval."""
        gate = make_gate()
        gate.state.on_instrument(Instrument(symbol="ACME", tick_size=0.01))
        gate.state.on_price("nse", "ACME", self.price, NOW_US)
        request = ask(order_id="tf" + os.urandom(16).hex(), **changes)
        verdict = gate.decide(request, NOW_US)
        assert isinstance(verdict, Approved), verdict
        return request.to_order(NOW_US), verdict

    def place(self, **changes: Any) -> Order:
        """Place an order and give it with its broker ids once it is answered."""
        order, approved = self.approve(**changes)
        self.broker.place(order, approved)
        accepted = self.answer("place").evidence
        assert isinstance(accepted, ev.Accepted), accepted
        children = tuple(ev_child(name, order.quantity) for name in accepted.broker_order_ids)
        return msgspec.structs.replace(order, children=children, is_sent=True, is_complete=True)

    def answer(self, request: str) -> Answer:
        """The answer to the last request of a kind."""
        count = sum(each.request == request for each in self.answers)
        self.until(lambda: sum(each.request == request for each in self.answers) > count or bool(count), request)
        return [each for each in self.answers if each.request == request][-1]

    def book(self) -> BrokerBook:
        """What the broker shows now."""
        found: list[BrokerBook | FleetError] = []
        self.broker.read_book(found.append)
        self.until(lambda: bool(found), "the broker's books")
        assert isinstance(found[0], BrokerBook), found[0]
        return found[0]

    def row(self, order: Order) -> ev.BrokerReport:
        """The order's row in the book."""
        return next(row for row in self.book().orders if row.tag == order.order_id)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
        """Deliver, and let the market come, until it is so."""
        end = time.monotonic() + seconds
        self.broker.deliver()
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s for {what}"
            time.sleep(0.01)
            self._move()
            self.broker.deliver()

    def _note(self, reports: Iterable[ev.BrokerReport | ev.TradeReport]) -> None:
        self.reports += reports


def ev_child(name: str, quantity: int) -> Any:
    from libs.orders.model import Child

    return Child(name, quantity=quantity)


def upstox_settings(port: int, **upstox: Any) -> Settings:
    """The demo's settings, pointed at a port."""
    found = default_settings()
    return msgspec.structs.replace(
        found, exchange_sim=msgspec.structs.replace(found.exchange_sim, port=port),
        upstox=msgspec.structs.replace(found.upstox, **upstox),
    )  # fmt: skip


def upstox_broker(
    port: int,
    key: str,
    *,
    with_stream: bool,
    market_us: Callable[[], int] | None = None,
    is_alone: bool = True,
    **upstox: Any,
) -> UpstoxBroker:
    """The product's broker over the real SDK; `market_us` is the market's time where it is not the machine's.

    Not alone: the simulator serves others, and this one sees the rows of its own share only.
    """
    settings = upstox_settings(port, **upstox)
    session = BrokerSession.open(settings, Scope.TRADING)
    calls = OrderCalls(session) if is_alone else OwnOrders(session, {key})
    broker = UpstoxBroker(
        calls, settings.upstox, SystemClock(), exchange="nse", keys=lambda: {"ACME": key},
        market_us=market_us or SystemClock().now_us, with_stream=with_stream,
    )  # fmt: skip
    broker.start([], {})
    return broker
