"""A broker in memory that loses answers, events and its patience by seed. Its own books are the truth.

It has no idempotency: whoever sends an order twice has two. Its stream loses, repeats and delays; its order book and
trades, when they can be had at all, are right.
"""

from __future__ import annotations

from itertools import count
from random import Random

import msgspec

from libs.contracts.orders import OrderStatus, Side
from libs.core.errors import OutcomeUnknown, Refused, RetryLater
from libs.orders import evidence as ev
from libs.orders.model import FINAL, Fill, Product
from libs.orders.reconcile import AccountKey, BrokerBook

Report = ev.BrokerReport | ev.TradeReport


class BrokerFaults(msgspec.Struct, frozen=True):
    """How unreliable the broker is; each figure is a probability a request or an event."""

    refused: float = 0.0
    rate_limited: float = 0.0
    answer_lost: float = 0.0
    request_lost: float = 0.0
    fill_before_answer: float = 0.0
    event_lost: float = 0.0
    event_repeated: float = 0.0
    event_delayed: float = 0.0
    unreachable: float = 0.0


class BrokerOrder(msgspec.Struct):
    """One order as the broker has it."""

    broker_order_id: str
    tag: str
    symbol: str
    side: Side
    quantity: int
    price: float | None
    price_trigger: float | None
    product: Product
    status: OrderStatus = OrderStatus.OPEN
    filled: int = 0


class FaultyBroker:
    """Takes orders, fills them when told to, and reports unreliably."""

    def __init__(self, random: Random, faults: BrokerFaults | None = None) -> None:
        self.random = random
        self.faults = faults or BrokerFaults()
        self.orders: dict[str, BrokerOrder] = {}
        self.fills: list[Fill] = []
        self.now_us = 0
        self._numbers = count(1)
        self._events: list[Report] = []

    # -- requests -----------------------------------------------------------------------------------------------------

    def place(
        self, *, tag: str, symbol: str, side: Side, quantity: int, price: float | None, price_trigger: float | None,
        product: Product,
    ) -> str:  # fmt: skip
        """Take an order and give its id, unless a fault has it otherwise."""
        self._before()
        if self._strikes(self.faults.refused):
            raise Refused("margin is not enough")
        name = f"b{next(self._numbers)}"
        self.orders[name] = BrokerOrder(name, tag, symbol, side, quantity, price, price_trigger, product)
        self._say(self._row(self.orders[name]))
        if self._strikes(self.faults.fill_before_answer):
            self.fill(name, quantity)
        self._after()
        return name

    def cancel(self, name: str) -> None:
        """Cancel what is open of an order."""
        self._before()
        order = self.orders[name]
        if order.status in FINAL:
            raise Refused(f"order {name} is {order.status}")
        order.status = OrderStatus.CANCELLED
        self._say(self._row(order))
        self._after()

    def modify(self, name: str, quantity: int, price: float | None, price_trigger: float | None) -> None:
        """Give an order other terms."""
        self._before()
        order = self.orders[name]
        if order.status in FINAL or quantity <= order.filled:
            raise Refused(f"order {name} is {order.status} with {order.filled} filled")
        order.quantity, order.price, order.price_trigger = quantity, price, price_trigger
        self._say(self._row(order))
        self._after()

    # -- the exchange -------------------------------------------------------------------------------------------------

    def fill(self, name: str, quantity: int, price: float = 100.0) -> None:
        """Trade a part of an order."""
        order = self.orders[name]
        order.filled += quantity
        if order.filled == order.quantity:
            order.status = OrderStatus.FILLED
        fill = Fill(
            exchange="nse", broker_order_id=name, trade_id=f"t{next(self._numbers)}", symbol=order.symbol,
            side=order.side, quantity=quantity, price=price, timestamp_us=self.now_us, product=order.product,
        )  # fmt: skip
        self.fills.append(fill)
        self._say(ev.TradeReport(at_us=self.now_us, fill=fill))
        self._say(self._row(order))

    def open_orders(self) -> list[BrokerOrder]:
        """List what may still trade."""
        return [order for order in self.orders.values() if order.status not in FINAL]

    def play(self) -> None:
        """Let the market do something to one open order: fill all, a part, or nothing."""
        alive = self.open_orders()
        if alive:
            order = self.random.choice(alive)
            left = order.quantity - order.filled
            self.fill(order.broker_order_id, self.random.choice([left, self.random.randint(1, left)]))

    # -- what is seen -------------------------------------------------------------------------------------------------

    def events(self) -> list[Report]:
        """Give what the stream delivers now; some of it comes later, and some never."""
        delivered, kept = [], []
        for event in self._events:
            if self._strikes(self.faults.event_delayed):
                kept.append(event)
                continue
            if self._strikes(self.faults.event_lost):
                continue
            delivered += [event] * (2 if self._strikes(self.faults.event_repeated) else 1)
        self._events = kept
        return delivered

    def book(self) -> BrokerBook:
        """Show the day's orders, trades and positions; raise `RetryLater` when the broker cannot be reached."""
        if self._strikes(self.faults.unreachable):
            raise RetryLater("connection refused")
        return BrokerBook(
            orders=tuple(self._row(order) for order in self.orders.values()), trades=tuple(self.fills),
            positions=self.positions(),
        )  # fmt: skip

    def positions(self) -> dict[AccountKey, int]:
        """Sum the fills."""
        found: dict[AccountKey, int] = {}
        for fill in self.fills:
            key = (fill.exchange, fill.symbol, fill.product)
            found[key] = found.get(key, 0) + (fill.quantity if fill.side is Side.BUY else -fill.quantity)
        return found

    # -- faults -------------------------------------------------------------------------------------------------------

    def _before(self) -> None:
        """What can go wrong before anything happened."""
        if self._strikes(self.faults.unreachable):
            raise RetryLater("connection refused")
        if self._strikes(self.faults.rate_limited):
            raise RetryLater("429: too many requests")
        if self._strikes(self.faults.request_lost):
            raise OutcomeUnknown("read timed out")

    def _after(self) -> None:
        """What can go wrong after it happened."""
        if self._strikes(self.faults.answer_lost):
            raise OutcomeUnknown("read timed out")

    def _strikes(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def _row(self, order: BrokerOrder) -> ev.BrokerReport:
        return ev.BrokerReport(
            at_us=self.now_us, broker_order_id=order.broker_order_id, status=order.status, quantity=order.quantity,
            quantity_filled=order.filled, price=order.price, price_trigger=order.price_trigger, tag=order.tag,
        )  # fmt: skip

    def _say(self, report: Report) -> None:
        self._events.append(report)
