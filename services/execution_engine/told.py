"""What the engine told the bus, as log lines: an order is followed from its signal to its last fill by two ids."""

from __future__ import annotations

from libs.contracts import OrderEvent, TradeEvent
from libs.runtime.logs import get_logger


def log_told(payload: object) -> None:
    """Write a line for a change of an order and for a fill; the scanner has written one with the signal's id."""
    match payload:
        case OrderEvent():
            get_logger().info(
                "order.changed", order=payload.order_id, signal=payload.signal_id_reference, symbol=payload.symbol,
                side=payload.side.value, quantity=payload.quantity, filled=payload.quantity_filled,
                status=payload.status.value, reason=payload.reason,
            )  # fmt: skip
        case TradeEvent():
            get_logger().info(
                "order.traded", order=payload.order_id, signal=payload.signal_id_reference, trade=payload.trade_id,
                symbol=payload.symbol, side=payload.side.value, quantity=payload.quantity, price=payload.price,
            )  # fmt: skip
