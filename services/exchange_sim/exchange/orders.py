"""An order at the broker, its statuses and its history."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from services.exchange_sim.market.instruments import Instrument

# The broker's words, in the order they usually come.
RECEIVED = "put order req received"
VALIDATION_PENDING = "validation pending"
OPEN_PENDING = "open pending"
OPEN = "open"
TRIGGER_PENDING = "trigger pending"
MODIFY_VALIDATION_PENDING = "modify validation pending"
MODIFY_PENDING = "modify pending"
MODIFIED = "modified"
NOT_MODIFIED = "not modified"
CANCEL_PENDING = "cancel pending"
NOT_CANCELLED = "not cancelled"
CANCELLED = "cancelled"
REJECTED = "rejected"
COMPLETE = "complete"
AMO_RECEIVED = "after market order req received"
AMO_MODIFIED = "modify after market order req received"
AMO_CANCELLED = "cancelled after market order"

FINAL = frozenset({CANCELLED, REJECTED, COMPLETE, AMO_CANCELLED})
#: Before the exchange has it, or only parked for the next session.
UNBORN = frozenset({RECEIVED, VALIDATION_PENDING, OPEN_PENDING, AMO_RECEIVED, AMO_MODIFIED})


@dataclass(frozen=True)
class Request:
    """What a client asked for, checked for spelling but not for sense."""

    instrument: Instrument
    is_buy: bool
    quantity: int
    product: str
    validity: str
    order_type: str
    price: float = 0.0
    trigger_price: float = 0.0
    disclosed_quantity: int = 0
    tag: str | None = None
    is_amo: bool = False
    slice: bool = False
    market_protection: float = 0.0
    algo_name: str | None = None


@dataclass(frozen=True)
class Fill:
    """One trade of an order."""

    trade_id: str
    order_id: str
    at_ms: int
    quantity: int
    price: float


@dataclass
class Order:
    """One order, as it is now. Every change of status is a row of `history`."""

    order_id: str
    request: Request
    received_ms: int
    parent_order_id: str | None = None
    status: str = RECEIVED
    message: str | None = None
    exchange_order_id: str | None = None
    exchange_ms: int | None = None
    changed_ms: int = 0
    #: Trades up to this instant are none of its business.
    seen_ms: int = 0
    #: Last price when it came in: what a market order is reckoned at.
    reference_price: float = 0.0
    triggered: bool = False
    guid: str | None = None
    gtt_order_id: str | None = None
    fills: list[Fill] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def quantity_filled(self) -> int:
        """How many shares traded."""
        return sum(fill.quantity for fill in self.fills)

    @property
    def quantity_pending(self) -> int:
        """How many shares may still trade: none once the order is final."""
        return 0 if self.status in FINAL else self.request.quantity - self.quantity_filled

    @property
    def average_price(self) -> float:
        """What the shares cost on average, 0 before the first fill."""
        filled = self.quantity_filled
        return round(sum(fill.quantity * fill.price for fill in self.fills) / filled, 4) if filled else 0.0

    @property
    def is_final(self) -> bool:
        """Nothing can happen to it any more."""
        return self.status in FINAL

    @property
    def is_resting(self) -> bool:
        """It lies in the exchange's book and trades may fill or trigger it."""
        return self.exchange_order_id is not None and not self.is_final


class OrderBook:
    """All orders of the day, by id."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}

    def __iter__(self) -> Iterator[Order]:
        return iter(self.orders.values())

    def open_orders(self) -> list[Order]:
        """Orders that something may still happen to, oldest first."""
        return [order for order in self if not order.is_final]

    def resting(self) -> dict[str, list[Order]]:
        """Orders in the exchange's book, by instrument."""
        found: dict[str, list[Order]] = {}
        for order in self:
            if order.is_resting:
                found.setdefault(order.request.instrument.key, []).append(order)
        return found

    def fills(self) -> list[Fill]:
        """All trades of the day in the order they happened."""
        return sorted((fill for order in self for fill in order.fills), key=lambda fill: fill.trade_id)

    def end_day(self) -> None:
        """Begin a new trading day: the broker keeps the book for one. What waits for the opening stays."""
        self.orders = {key: order for key, order in self.orders.items() if not order.is_final}


def describe(order: Order) -> dict[str, Any]:
    """Say everything about an order, for `/_sim/state`."""
    request = asdict(order.request) | {"instrument": order.request.instrument.key}
    return {
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id,
        "parent_order_id": order.parent_order_id,
        "gtt_order_id": order.gtt_order_id,
        "status": order.status,
        "message": order.message,
        "request": request,
        "filled_quantity": order.quantity_filled,
        "pending_quantity": order.quantity_pending,
        "average_price": order.average_price,
        "received_ms": order.received_ms,
        "fills": [asdict(fill) for fill in order.fills],
        "statuses": [row["status"] for row in order.history],
    }
