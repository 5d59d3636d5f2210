"""What is held, read back without reading how it came about: positions as they were, and the fills since.

A row of `positions` is written in the transaction of every fill, so it says what all trades came to. What it was
before the fills that are still needed one by one follows from it exactly. Where a late fill makes the two disagree,
that position's trades are read, all of them: fills are the truth, the row is a sum.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from functools import reduce
from typing import Any

import msgspec

from libs.core.money import value_paise
from libs.dbaccess.schema.trading import NOT_SETTLED
from libs.dbaccess.trading import rows
from libs.orders.model import Fill
from libs.orders.positions import Position, PositionKey, after_fill

#: Orders a start needs: those of the last day, and of any day what is not settled. Takes the last day's beginning.
WANTED_ORDERS = (
    "SELECT order_id FROM orders WHERE created_at_us >= ? UNION "
    f"SELECT order_id FROM orders INDEXED BY orders_not_settled WHERE {NOT_SETTLED}"
)


class Carried(msgspec.Struct, frozen=True):
    """A position before the fills that come with it, and how many trades had made it."""

    position: Position
    trades: int


def wanted_trades(connection: sqlite3.Connection, since_us: int) -> list[dict[str, Any]]:
    """Read the trades that stand of the last day, and of orders that are not settled, of any day."""
    return read_rows(
        connection,
        "SELECT * FROM trades WHERE status = 'filled' AND timestamp_us >= ? UNION "
        f"SELECT * FROM trades WHERE status = 'filled' AND order_id IN ({WANTED_ORDERS})",
        since_us, since_us,
    )  # fmt: skip


def holdings(
    connection: sqlite3.Connection, wanted: Iterable[dict[str, Any]]
) -> tuple[tuple[Carried, ...], tuple[Fill, ...]]:
    """Give every position as it was before the wanted trades, and these trades as fills, in the exchange's order."""
    by_key: dict[PositionKey, list[dict[str, Any]]] = defaultdict(list)
    for row in wanted:
        by_key[rows.position_key(row)].append(row)
    carried = []
    for row in read_rows(connection, "SELECT * FROM positions"):
        key = rows.position_key(row)
        found = _before(key, row, by_key.get(key, []))
        if found is None:
            by_key[key] = read_rows(
                connection,
                "SELECT * FROM trades WHERE status = 'filled' AND strategy_id = ? AND exchange = ? AND symbol = ? "
                "AND product = ?", key.strategy_id, key.exchange, key.symbol, key.product.value,
            )  # fmt: skip
        else:
            carried.append(found)
    fills = [rows.fill_of(row) for trades in by_key.values() for row in trades]
    return tuple(carried), tuple(sorted(fills, key=_place))


def _before(key: PositionKey, row: dict[str, Any], trades: list[dict[str, Any]]) -> Carried | None:
    """Take trades out of a position; None when putting them in again does not give the same."""
    fills = sorted((rows.fill_of(trade) for trade in trades), key=_place)
    signs = [1 if fill.side.value == "buy" else -1 for fill in fills]
    quantity = row["quantity"] - sum(sign * fill.quantity for sign, fill in zip(signs, fills, strict=True))
    spent = sum(sign * value_paise(fill.price, fill.quantity) for sign, fill in zip(signs, fills, strict=True))
    realised = row["profit_realised_paise"] - sum(trade["profit_paise"] or 0 for trade in trades)
    # Sold less bought: what all trades of a position brought in, however it was closed.
    brought = row["profit_realised_paise"] - row["cost_paise"] + spent
    is_known_open = bool(row["opened_at_us"]) and (not fills or row["opened_at_us"] < fills[0].timestamp_us)
    before = Position(
        key, quantity, realised - brought, realised, row["fees_paise"] - sum(fill.fees_paise for fill in fills),
        max(0, quantity), max(0, -brought), max(0, -quantity), max(0, brought),
        row["opened_at_us"] if is_known_open else 0,
    )  # fmt: skip
    after = reduce(after_fill, fills, before)
    is_same = (after.quantity, after.cost_paise, after.realised_paise) == (
        row["quantity"], row["cost_paise"], row["profit_realised_paise"]
    )  # fmt: skip
    is_whole = bool(quantity) or not before.cost_paise
    return Carried(before, row["trades"] - len(fills)) if is_same and is_whole else None


def _place(fill: Fill) -> tuple[int, Any]:
    return (fill.timestamp_us, fill.key)


def read_rows(connection: sqlite3.Connection, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """Read rows by the names of their columns."""
    cursor = connection.execute(sql, parameters)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
