"""Two common steps of an order's life in one go, for the simulated exchange: accepted at once, filled in one trade.

Exactly what `lifecycle.apply` makes of the same evidence, order and news both, which a test compares; it is here
because a backtest does nothing more often. Whatever is less simple goes through `apply`.
"""

from __future__ import annotations

from msgspec.structs import replace

from libs.contracts.orders import OrderStatus
from libs.orders.model import Child, Fill, Order
from libs.orders.news import AnyNews, FillRecorded, Transition

_INTENT, _SENT, _ACKNOWLEDGED, _FILLED = (
    OrderStatus.INTENT, OrderStatus.SENT, OrderStatus.ACKNOWLEDGED, OrderStatus.FILLED,
)  # fmt: skip


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
