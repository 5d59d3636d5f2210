"""Rows of one old table into ours: one transaction, every row accounted for, read back and compared."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from libs.core.errors import Corrupt
from libs.dbaccess.legacy.mapping import ORDERS, TRADES, Mapped, Mapping, convert
from libs.dbaccess.legacy.values import Context, Unfit

_PROBLEMS_MAX = 5


class Placed(msgspec.Struct):
    """How many rows went where."""

    placed: int = 0
    there: int = 0
    problems: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def refused(self) -> int:
        """Rows that have no place in the new store."""
        return self.problems.total()

    def told(self) -> tuple[str, ...]:
        """The most frequent problems, with their counts."""
        return tuple(f"{count} x {problem}" for problem, count in self.problems.most_common(_PROBLEMS_MAX))


def place_rows(
    connection: sqlite3.Connection, mapping: Mapping, mapped: Mapped, rows: Iterable[dict[str, Any]], context: Context
) -> Placed:
    """Insert what is new, inside the caller's transaction; raise `Corrupt` if a row reads back otherwise."""
    placed = Placed()
    for row in rows:
        try:
            if _place_row(connection, mapping, convert(mapping, mapped, row, context)):
                placed.placed += 1
            else:
                placed.there += 1
        except (Unfit, sqlite3.IntegrityError) as e:
            placed.problems[str(e)] += 1
    return placed


def _place_row(connection: sqlite3.Connection, mapping: Mapping, made: dict[str, Any]) -> bool:
    """Insert one row and read it back; False when it is there already."""
    wanted = tuple(made.values())
    key = [made[column] for column in mapping.key]
    where = " AND ".join(f"{column} IS ?" for column in mapping.key)
    select = f"SELECT {', '.join(made)} FROM {mapping.target} WHERE {where}"
    if (found := connection.execute(select, key).fetchone()) is not None:
        if tuple(found) != wanted:
            raise Unfit("another row of the same key is there already")
        return False
    if mapping is TRADES:
        _ensure_order(connection, made)
    connection.execute(
        f"INSERT INTO {mapping.target} ({', '.join(made)}) VALUES ({', '.join('?' * len(made))})", wanted
    )
    if tuple(connection.execute(select, key).fetchone()) != wanted:
        raise Corrupt(f"{mapping.target}: a row reads back otherwise than it was written: {key}")
    return True


def _ensure_order(connection: sqlite3.Connection, trade: dict[str, Any]) -> None:
    """Give a trade whose order the old installation did not keep a stand-in; a trade without an order cannot be."""
    if connection.execute("SELECT 1 FROM orders WHERE order_id = ?", [trade["order_id"]]).fetchone():
        return
    order = {name: trade[name] for name in ("order_id", "signal_id_reference", "strategy_id", "exchange", "symbol",
                                             "side", "product", "quantity")} | {
        "order_type": "market", "status": "filled", "reason": "migrated; the old installation kept only its trade",
        "quantity_filled": trade["quantity"], "created_at_us": trade["timestamp_us"],
        "updated_at_us": trade["timestamp_us"], "sending_at_us": trade["timestamp_us"], **ORDERS.fixed,
    }  # fmt: skip
    connection.execute(
        f"INSERT INTO orders ({', '.join(order)}) VALUES ({', '.join('?' * len(order))})", tuple(order.values())
    )


def settle_positions(connection: sqlite3.Connection, source: str, now_us: int) -> int:
    """Close what migrated trades would leave open, by adjustments that say so.

    A position is the sum of its fills and adjustments. What the old installation really held is at the broker, and is
    taken over from there by reconciliation; an old table must not make the engine believe in shares.
    """
    rows = connection.execute(
        "SELECT trades.strategy_id, trades.exchange, trades.symbol, trades.product,"
        " sum(CASE trades.side WHEN 'buy' THEN trades.quantity ELSE -trades.quantity END) AS net"
        " FROM trades JOIN orders USING (order_id) WHERE orders.reason LIKE 'migrated%'"
        " GROUP BY 1, 2, 3, 4 HAVING net <> 0"
    ).fetchall()
    made = 0
    for strategy, exchange, symbol, product, net in rows:
        name = f"migrated-{strategy}-{exchange}-{symbol}-{product}"
        [(settled,)] = connection.execute(
            "SELECT coalesce(sum(quantity), 0) FROM adjustments WHERE substr(adjustment_id, 1, ?) = ?",
            [len(name) + 1, f"{name}-"],
        ).fetchall()
        if net + settled:
            evidence = msgspec.json.encode({"migrated_from": source, "net_of_old_trades": net}).decode()
            connection.execute(
                "INSERT INTO adjustments VALUES (?, ?, ?, ?, ?, ?, NULL, 'operator', ?, 'fleet migrate', ?, ?)",
                (
                    f"{name}-{source}-{net}",
                    strategy,
                    exchange,
                    symbol,
                    product,
                    -(net + settled),
                    evidence,
                    now_us,
                    now_us,
                ),
            )  # fmt: skip
            made += 1
    return made
