"""Orders and trades as the execution engine reports them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from libs.contracts.base import Event


class OrderType(StrEnum):
    """How an order asks for its price."""

    MARKET = "market"
    LIMIT = "limit"
    SL = "sl"
    SL_M = "sl_m"


class Side(StrEnum):
    """Which way shares move."""

    BUY = "buy"
    SELL = "sell"


class OrderStatus(StrEnum):
    """Where an order is. `UNKNOWN`: it may or may not live at the broker; only evidence moves it."""

    INTENT = "intent"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    OPEN = "open"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCEL_SENT = "cancel_sent"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"


class TradeStatus(StrEnum):
    """Whether a trade stands."""

    FILLED = "filled"
    REVERSED = "reversed"


class TradeDirection(StrEnum):
    """The side of the position a trade belongs to."""

    LONG = "long"
    SHORT = "short"


class OrderEvent(Event, frozen=True, tag="order"):
    """An order after a change. `price` is absent for a market order."""

    order_id: str
    signal_id_reference: str
    timestamp_us: int
    symbol: str
    order_type: OrderType
    side: Side
    quantity: int
    price: float | None
    status: OrderStatus
    exchange: str = "nse"
    strategy_id: str = ""
    price_trigger: float | None = None
    quantity_filled: int = 0
    broker_order_id: str = ""
    reason: str = ""


class TradeEvent(Event, frozen=True, tag="trade"):
    """A fill. `fees` are rupees, exact to the paisa; `price` is the exchange's."""

    trade_id: str
    signal_id_reference: str
    timestamp_us: int
    symbol: str
    status: TradeStatus
    direction: TradeDirection
    quantity: int
    price: float
    fees: Decimal = Decimal(0)
    exchange: str = "nse"
    strategy_id: str = ""
    order_id: str = ""
    side: Side = Side.BUY
