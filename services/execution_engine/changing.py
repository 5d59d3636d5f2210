"""Other terms for an order that works: held against the limits as a new order is, then sent."""

from __future__ import annotations

from libs.contracts.orders import OrderStatus
from libs.core.errors import Refused
from libs.orders.model import Order
from libs.risk.request import OrderRequest
from services.execution_engine.commands import Modify
from services.execution_engine.engine import Engine

_AT_WORK = {OrderStatus.ACKNOWLEDGED, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}


def change_terms(engine: Engine, command: Modify) -> None:
    """Ask the broker for other terms of one order; raise `Refused` where it is over, or risk says no."""
    order = engine.desk.orders.get(command.order_id)
    if order.status not in _AT_WORK or order.is_cancelling:
        raise Refused(f"order {order.order_id} is {order.status}: only one that works at the broker is modified")
    if command.quantity <= order.quantity_traded:
        raise Refused(f"{order.quantity_traded} shares of order {order.order_id} are traded; {command.quantity} leave "
                      "nothing of it: cancel it instead")  # fmt: skip
    request = _as_changed(order, command)
    state = engine.desk.gate.state
    state.trading_state = engine.states.of(order.strategy_id, order.exchange, order.symbol)
    try:
        rejected = engine.desk.gate.object_to_terms(request, engine.market.now_us())
    finally:
        state.trading_state = engine.states.account
    if rejected is not None:
        raise Refused(f"order {order.order_id} stays as it is: {rejected.check}: {rejected.reason}")
    engine.change(order.order_id, command.quantity, command.price, command.price_trigger)


def _as_changed(order: Order, command: Modify) -> OrderRequest:
    return OrderRequest(
        order_id=order.order_id, strategy_id=order.strategy_id, symbol=order.symbol, side=order.side,
        quantity=command.quantity, order_type=order.order_type,
        price=order.price if command.price is None else command.price,
        price_trigger=order.price_trigger if command.price_trigger is None else command.price_trigger,
        exchange=order.exchange, product=order.product, purpose=order.purpose, signal_id=order.signal_id,
    )  # fmt: skip
