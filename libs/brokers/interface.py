"""What the engine asks of a broker, and the answers as evidence. A broker takes orders only with the gate's approval.

A broker that waits for a network does so on threads of its own. What comes back is handed over in `deliver`, in the
engine's thread and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import msgspec

from libs.brokers.switch import SwitchReader
from libs.contracts.market import OHLCVBar, Tick
from libs.core.errors import Corrupt, FleetError
from libs.orders import evidence as ev
from libs.orders.model import Change, Order
from libs.orders.reconcile import AccountKey, BrokerBook
from libs.risk.verdict import Approved

Reports = Iterable[ev.BrokerReport | ev.TradeReport]
#: Told of a reading of the broker's books, or of why there is none.
BookReader = Callable[[BrokerBook | FleetError], None]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request. No evidence: it may or may not have arrived, and reports will tell."""

    order_id: str
    request: str
    evidence: ev.AnyEvidence | None
    outcome: str
    sent_ns: int = 0
    answered_ns: int = 0


class Broker(Protocol):
    """Carries requests away and brings back what became of them.

    Each request is answered by one call of `answered`; `reported` is told of orders and trades; both at once or later.
    """

    answered: Callable[[Answer], object]
    reported: Callable[[Reports], object]
    #: Called from any thread when there is something to `deliver`.
    wake: Callable[[], object]

    def place(self, order: Order, approved: Approved) -> None:
        """Send a new order, once."""
        ...

    def cancel(self, order: Order, number: int) -> None:
        """Ask to cancel whatever of the order may be alive."""
        ...

    def change(self, order: Order, change: Change) -> None:
        """Ask for other terms."""
        ...

    def read_book(self, then: BookReader) -> None:
        """Read orders, trades, positions and funds; `then` is called once with all of them or with why not."""
        ...

    def read_switch(self, then: SwitchReader) -> None:
        """Read the broker's own kill switch; `then` is called once with its segments or with why not."""
        ...

    def lock(self, then: SwitchReader) -> None:
        """Throw the broker's own kill switch; `then` is called once with what it shows afterwards or with why not."""
        ...

    def deliver(self) -> int:
        """Hand over what came since the last call; say how much it was."""
        ...

    def start(self, orders: Iterable[Order], held: Mapping[AccountKey, int]) -> None:
        """Take in what the journal holds: today's orders, and what is held by account."""
        ...

    def on_tick(self, tick: Tick) -> None:
        """See a price."""
        ...

    def on_bar(self, bar: OHLCVBar) -> None:
        """See a bar that closed."""
        ...

    def end_day(self, now_us: int) -> None:
        """Let go of the day's orders."""
        ...

    def take_reconnected(self) -> bool:
        """Say once whether the link was away and is back: what happened meanwhile nobody was told of."""
        ...

    def status(self) -> dict[str, object]:
        """Say how the link is, for screens."""
        ...

    def close(self) -> None:
        """End threads and connections. Requests under way stay what they are: unknown."""
        ...


def require_approval(order: Order, approved: Approved) -> None:
    """Raise unless the gate approved exactly this order."""
    if not isinstance(approved, Approved):
        raise Corrupt(f"order {order.order_id} comes without an approval of the risk gate: {approved!r}")
    asked = approved.request
    terms = (asked.order_id, asked.exchange, asked.symbol, asked.side, asked.quantity, asked.price, asked.product)
    if terms != (
        order.order_id, order.exchange, order.symbol, order.side, order.quantity, order.price, order.product
    ):  # fmt: skip
        raise Corrupt(f"order {order.order_id} is not what the risk gate approved: {approved!r}")
