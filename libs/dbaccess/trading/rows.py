"""Orders, broker orders and trades as rows, and back. Nothing here reads or writes a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from libs.contracts.orders import OrderStatus, OrderType, Side, TradeDirection, TradeStatus
from libs.core.clock import trading_date
from libs.orders.model import Change, Child, Fill, FillKey, Order, Product, Purpose
from libs.orders.positions import Position, PositionKey

ORDER_INSERT = """
INSERT INTO orders (order_id, signal_id_reference, strategy_id, exchange, symbol, side, order_type, product, purpose,
    quantity, price, price_trigger, status, replaces, created_at_us, updated_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
ORDER_UPDATE = """
UPDATE orders SET order_type = ?, quantity = ?, price = ?, price_trigger = ?, status = ?, sequence = ?, reason = ?,
    quantity_filled = ?, quantity_traded = ?, fees_paise = ?, is_unanswered = ?, is_complete = ?, is_refused = ?,
    is_lapsed = ?, cancel_number = ?, cancel_refused_number = ?, change_number = ?, change_json = ?,
    sending_at_us = coalesce(sending_at_us, ?), updated_at_us = ?
WHERE order_id = ?
"""
CHILD_UPSERT = """
INSERT INTO broker_orders (trading_date, exchange, broker_order_id, order_id, status, quantity, quantity_filled,
    quantity_traded, terms_us, reason, first_seen_us, updated_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET status = excluded.status, quantity = excluded.quantity,
    quantity_filled = excluded.quantity_filled, quantity_traded = excluded.quantity_traded,
    terms_us = excluded.terms_us, reason = excluded.reason, updated_at_us = excluded.updated_at_us
"""
TRADE_INSERT = """
INSERT INTO trades (trading_date, exchange, broker_order_id, trade_id, order_id, signal_id_reference, strategy_id,
    symbol, side, direction, product, status, quantity, price, fees_paise, profit_paise, timestamp_us, recorded_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
POSITION_UPSERT = """
INSERT INTO positions (strategy_id, exchange, symbol, product, quantity, price_average, cost_paise,
    profit_realised_paise, fees_paise, price_mark, profit_unrealised_paise, trades, opened_at_us, updated_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET quantity = excluded.quantity, price_average = excluded.price_average,
    cost_paise = excluded.cost_paise, profit_realised_paise = excluded.profit_realised_paise,
    fees_paise = excluded.fees_paise, price_mark = excluded.price_mark,
    profit_unrealised_paise = excluded.profit_unrealised_paise, trades = excluded.trades,
    opened_at_us = excluded.opened_at_us, updated_at_us = excluded.updated_at_us
"""


def intent_row(order: Order) -> tuple[Any, ...]:
    """Spell a new intent."""
    return (
        order.order_id, order.signal_id, order.strategy_id, order.exchange, order.symbol, order.side.value,
        order.order_type.value, order.product.value, order.purpose.value, order.quantity, order.price,
        order.price_trigger, order.status.value, order.replaces or None, order.created_us, order.created_us,
    )  # fmt: skip


def order_row(order: Order, fees_paise: int, now_us: int) -> tuple[Any, ...]:
    """Spell what may change of an order."""
    change = None if order.change is None else msgspec.json.encode(order.change).decode()
    return (
        order.order_type.value, order.quantity, order.price, order.price_trigger, order.status.value, order.sequence,
        order.reason, sum(child.quantity_filled for child in order.children), order.quantity_traded, fees_paise,
        order.is_unanswered, order.is_complete, order.is_refused, order.is_lapsed, order.cancel_number,
        order.cancel_refused_number, order.change_number, change, now_us if order.is_sent else None, now_us,
        order.order_id,
    )  # fmt: skip


def child_row(order: Order, child: Child, now_us: int) -> tuple[Any, ...]:
    """Spell one broker order; the order book's day is the one the intent was made on."""
    return (
        trading_date(order.created_us).isoformat(), order.exchange, child.broker_order_id, order.order_id,
        child.status.value, child.quantity, child.quantity_filled, child.quantity_traded, child.terms_us, child.reason,
        now_us, now_us,
    )  # fmt: skip


def direction_of(order: Order) -> TradeDirection:
    """Say to which side of a position an order's trades belong."""
    opens_long = (order.side is Side.BUY) == (order.purpose is Purpose.ENTRY)
    return TradeDirection.LONG if opens_long else TradeDirection.SHORT


def trade_row(order: Order, fill: Fill, profit_paise: int | None, now_us: int) -> tuple[Any, ...]:
    """Spell a fill."""
    day, exchange, broker_order_id, trade_id = fill.key
    return (
        day, exchange, broker_order_id, trade_id, order.order_id, order.signal_id, order.strategy_id, fill.symbol,
        fill.side.value, direction_of(order).value, order.product.value, TradeStatus.FILLED.value, fill.quantity,
        fill.price, fill.fees_paise, profit_paise, fill.timestamp_us, now_us,
    )  # fmt: skip


def position_row(position: Position, mark: float, trades: int, now_us: int) -> tuple[Any, ...]:
    """Spell a position, valued at a price; 0 when no price is known."""
    key, is_open = position.key, position.quantity != 0
    return (
        key.strategy_id, key.exchange, key.symbol, key.product.value, position.quantity,
        abs(position.price_average) if is_open else None, position.cost_paise, position.realised_paise,
        position.fees_paise, mark or None, position.unrealised_paise(mark) if is_open and mark else 0, trades,
        position.opened_us if is_open else None, now_us,
    )  # fmt: skip


# -- back -------------------------------------------------------------------------------------------------------------


def fill_of(row: Mapping[str, Any]) -> Fill:
    """Read a trade."""
    return Fill(
        exchange=row["exchange"], broker_order_id=row["broker_order_id"], trade_id=row["trade_id"],
        symbol=row["symbol"], side=Side(row["side"]), quantity=row["quantity"], price=row["price"],
        timestamp_us=row["timestamp_us"], product=Product(row["product"]), strategy_id=row["strategy_id"],
        order_id=row["order_id"], fees_paise=row["fees_paise"],
    )  # fmt: skip


def child_of(row: Mapping[str, Any]) -> Child:
    """Read a broker order."""
    return Child(
        row["broker_order_id"], OrderStatus(row["status"]), row["quantity"], row["quantity_filled"],
        row["quantity_traded"], row["terms_us"], row["reason"],
    )  # fmt: skip


def order_of(
    row: Mapping[str, Any], children: Iterable[Child], fills: Iterable[Fill], reversed_: Iterable[FillKey]
) -> Order:
    """Read an order with what belongs to it."""
    change = row["change_json"]
    return Order(
        order_id=row["order_id"], signal_id=row["signal_id_reference"], strategy_id=row["strategy_id"],
        symbol=row["symbol"], side=Side(row["side"]), order_type=OrderType(row["order_type"]),
        quantity=row["quantity"], exchange=row["exchange"], price=row["price"], price_trigger=row["price_trigger"],
        product=Product(row["product"]), purpose=Purpose(row["purpose"]), created_us=row["created_at_us"],
        replaces=row["replaces"] or "", status=OrderStatus(row["status"]), sequence=row["sequence"],
        reason=row["reason"], is_sent=row["sending_at_us"] is not None, is_unanswered=bool(row["is_unanswered"]),
        is_complete=bool(row["is_complete"]), is_refused=bool(row["is_refused"]), is_lapsed=bool(row["is_lapsed"]),
        children=tuple(sorted(children, key=lambda child: child.broker_order_id)), fills=tuple(fills),
        reversed=tuple(reversed_), quantity_traded=row["quantity_traded"], cancel_number=row["cancel_number"],
        cancel_refused_number=row["cancel_refused_number"], change_number=row["change_number"],
        change=None if change is None else msgspec.json.decode(change, type=Change),
    )  # fmt: skip


def position_key(row: Mapping[str, Any]) -> PositionKey:
    """Read whose position a row is about."""
    return PositionKey(row["strategy_id"], row["symbol"], row["exchange"], Product(row["product"]))
