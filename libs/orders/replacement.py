"""Cancel and replace: the second order goes out only when nothing of the first can trade any more."""

from __future__ import annotations

from libs.contracts.orders import OrderType
from libs.core.errors import Refused
from libs.orders.model import Order
from libs.orders.status import is_covered


def why_not_replaceable(order: Order) -> str:
    """Say what stands against a replacement; empty when it may go out."""
    if not order.is_final or order.has_live_child:
        return f"order {order.order_id} is {order.status}: it may still trade"
    if not order.children or not is_covered(order):
        return f"order {order.order_id} is {order.status}, but the broker has not accounted for all of it"
    if order.fill_pending:
        return f"{order.fill_pending} shares of order {order.order_id} are reported filled and their trades not seen"
    if order.quantity_traded >= order.quantity:
        return f"order {order.order_id} is filled: nothing is left to replace"
    return ""


def replacement(
    order: Order, *, order_id: str, created_us: int, price: float | None = None, order_type: OrderType | None = None
) -> Order:
    """Make the intent for what the cancelled order did not trade."""
    if reason := why_not_replaceable(order):
        raise Refused(reason)
    return Order(
        order_id=order_id, signal_id=order.signal_id, strategy_id=order.strategy_id, symbol=order.symbol,
        exchange=order.exchange, side=order.side, order_type=order_type or order.order_type,
        quantity=order.quantity - order.quantity_traded, price=order.price if price is None else price,
        price_trigger=order.price_trigger, product=order.product, purpose=order.purpose, created_us=created_us,
        replaces=order.order_id,
    )  # fmt: skip
