"""Two common steps of an order's life in one go, for the simulated exchange: accepted at once, filled in one trade.

Exactly what `lifecycle.apply` makes of the same evidence, order and news both, which a test compares; it is here
because a backtest does nothing more often. Whatever is less simple goes through `apply`.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.orders.model import Child, Fill, Order, Product, Purpose
from libs.orders.news import AnyNews, FillRecorded, Transition

_MARKET = OrderType.MARKET
_INTENT, _SENT, _ACKNOWLEDGED, _FILLED = (
    OrderStatus.INTENT, OrderStatus.SENT, OrderStatus.ACKNOWLEDGED, OrderStatus.FILLED,
)  # fmt: skip


class PlainOrder(msgspec.Struct):
    """A market order of a simulation that is acknowledged at once and fills whole: what tells one from another.

    Nobody reads an order or its fill while a run goes on, so they are spelled out when somebody asks: `order` gives
    what `filled_whole` and `accepted_whole` would have made of the intent. `timestamp_us` and what follows are the
    trade's, once there is one; they are named as in `Fill`, so that what is worked out of fills can be so of these.
    """

    order_id: str
    signal_id: str
    strategy_id: str
    symbol: str
    exchange: str
    product: Product
    side: Side
    purpose: Purpose
    quantity: int
    created_us: int
    reason: str
    #: The trade's place among all of the run; 0: it has not traded.
    trade_number: int = 0
    price: float = 0.0
    timestamp_us: int = 0
    fees_paise: int = 0
    #: The order book has it spelled out, and must be told of what becomes of it.
    is_spelled: bool = False

    def order(self) -> Order:
        """Spell out the order as it is now."""
        name, quantity = self.order_id, self.quantity
        is_filled = bool(self.trade_number)
        return Order(
            order_id=name, signal_id=self.signal_id, strategy_id=self.strategy_id, symbol=self.symbol, side=self.side,
            order_type=_MARKET, quantity=quantity, exchange=self.exchange, product=self.product, purpose=self.purpose,
            created_us=self.created_us, is_sent=True, is_complete=True,
            status=_FILLED if is_filled else _ACKNOWLEDGED, sequence=3 if is_filled else 2,
            children=(Child(broker_id(name), _ACKNOWLEDGED, quantity, 0, quantity if is_filled else 0),),
            fills=(self.fill(0),) if is_filled else (), quantity_traded=quantity if is_filled else 0,
        )  # fmt: skip

    def fill(self, fees_paise: int) -> Fill:
        """Spell out the one trade; an order keeps its own as the exchange reported it, without fees."""
        return Fill(
            exchange=self.exchange, broker_order_id=broker_id(self.order_id), trade_id=trade_id(self.trade_number),
            symbol=self.symbol, side=self.side, quantity=self.quantity, price=self.price,
            timestamp_us=self.timestamp_us, product=self.product, strategy_id=self.strategy_id,
            order_id=self.order_id, fees_paise=fees_paise,
        )  # fmt: skip


#: A trade as it was kept: a plain order, which traded once and whole, has everything that is asked of its fill.
KeptTrade = Fill | PlainOrder


def broker_id(order_id: str) -> str:
    """Name the simulated exchange's order behind one of ours."""
    return f"sim-{order_id}"


def trade_id(number: int) -> str:
    """Name a trade of the simulated exchange by its place among all."""
    return f"{number:010d}"


def accepted_whole(order: Order, broker_order_id: str) -> Order:
    """Send a fresh intent and have it acknowledged under one broker id: `Sending`, then `Accepted`."""
    return replace(
        order, is_sent=True, is_complete=True, children=(Child(broker_order_id, quantity=order.quantity),),
        status=_ACKNOWLEDGED, sequence=order.sequence + 2,
    )  # fmt: skip


def news_of_acceptance(order: Order, at_us: int) -> list[AnyNews]:
    """Say what `accepted_whole` did to an intent."""
    name, sequence = order.order_id, order.sequence
    sent = Transition(
        order_id=name, at_us=at_us, sequence=sequence + 1, status_from=_INTENT, status_to=_SENT, cause="sending",
        quantity_traded=0, fill_pending=0,
    )  # fmt: skip
    known = Transition(
        order_id=name, at_us=at_us, sequence=sequence + 2, status_from=_SENT, status_to=_ACKNOWLEDGED,
        cause="accepted", quantity_traded=0, fill_pending=0,
    )  # fmt: skip
    return [sent, known]


def is_plain(order: Order, quantity: int) -> bool:
    """Tell whether a trade of so many shares is the first and only one of an order nothing else happened to."""
    return (
        order.status is _ACKNOWLEDGED
        and order.quantity == quantity
        and not order.fills
        and len(order.children) == 1
        and order.change is None
        and not order.change_number
        and not order.cancel_number
    )


def filled_whole(order: Order, fill: Fill) -> tuple[Order, Fill]:
    """Fill a plain order in one trade: `TradeReport`. Gives the order, and the fill stamped with it."""
    stamped = fill
    if fill.order_id != order.order_id or fill.strategy_id != order.strategy_id or fill.product is not order.product:
        stamped = replace(fill, order_id=order.order_id, strategy_id=order.strategy_id, product=order.product)
    quantity = fill.quantity
    child = replace(order.children[0], quantity_traded=quantity)
    filled = replace(
        order, fills=(stamped,), children=(child,), quantity_traded=quantity, status=_FILLED,
        sequence=order.sequence + 1, reason="",
    )  # fmt: skip
    return filled, stamped


def news_of_fill(filled: Order, fill: Fill, at_us: int) -> list[AnyNews]:
    """Say what `filled_whole` did."""
    return [
        Transition(
            order_id=filled.order_id, at_us=at_us, sequence=filled.sequence, status_from=_ACKNOWLEDGED,
            status_to=_FILLED, cause="trade_report", quantity_traded=filled.quantity_traded, fill_pending=0,
        ),
        FillRecorded(order_id=filled.order_id, at_us=at_us, fill=fill),
    ]  # fmt: skip
