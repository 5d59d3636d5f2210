"""Everything the engine knew, read back at its start. Startup is recovery: there is no other way in."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from datetime import date
from typing import Any

import msgspec

from libs.contracts.orders import TradeStatus
from libs.contracts.risk import TradingState
from libs.core.clock import day_start_us
from libs.dbaccess.trading import rows
from libs.dbaccess.trading.entry import ExitPlan
from libs.dbaccess.trading.holdings import WANTED_ORDERS, Carried, holdings, read_rows, wanted_trades
from libs.orders.model import Child, Fill, FillKey, Order

Scope = tuple[str, str]


class StoredState(msgspec.Struct, frozen=True):
    """A trading state of one scope, and why."""

    state: TradingState
    cause: str
    reason: str
    set_by: str
    since_us: int


class Cursor(msgspec.Struct, frozen=True):
    """How far a source of signals was read, and in which store."""

    store_uuid: str = ""
    outbox_seq: int = 0


class DayFigures(msgspec.Struct, frozen=True):
    """A day's figures. `equity_high_paise` is over all days."""

    day: date
    equity_start_paise: int
    equity_high_paise: int
    orders_sent: int


class Loaded(msgspec.Struct, frozen=True):
    """The store's whole state, as far as decisions need it."""

    orders: tuple[Order, ...]
    carried: tuple[Carried, ...]
    fills: tuple[Fill, ...]
    exit_plans: tuple[ExitPlan, ...]
    marks: dict[tuple[str, str], float]
    cursor: Cursor
    states: dict[Scope, StoredState]
    day: DayFigures | None
    loss_lock_day: date | None
    is_drawdown_locked: bool


def load(connection: sqlite3.Connection) -> Loaded:
    """Read everything that still matters, however much there was: the last day, what is unsettled, what is held."""
    figures = _last_day(connection)
    since_us = day_start_us(figures.day) if figures else 0
    carried, fills = holdings(connection, wanted_trades(connection, since_us))
    return Loaded(
        orders=_orders(connection, since_us),
        carried=carried,
        fills=fills,
        exit_plans=tuple(_exit_plan(row) for row in read_rows(connection, "SELECT * FROM exit_plans")),
        marks={
            (row["exchange"], row["symbol"]): row["price_mark"]
            for row in read_rows(connection, "SELECT * FROM positions WHERE quantity <> 0 AND price_mark IS NOT NULL")
        },
        cursor=_cursor(connection),
        states={
            (row["scope_kind"], row["scope"]): StoredState(
                TradingState(row["state"]), row["cause"], row["reason"], row["set_by"], row["since_us"]
            )
            for row in read_rows(connection, "SELECT * FROM trading_states")
        },
        day=figures,
        loss_lock_day=_loss_lock(connection),
        is_drawdown_locked=bool(
            read_rows(connection, "SELECT 1 AS x FROM risk_locks WHERE kind = 'drawdown' AND cleared_at_us IS NULL")
        ),
    )


def _orders(connection: sqlite3.Connection, since_us: int) -> tuple[Order, ...]:
    wanted = WANTED_ORDERS
    children: dict[str, list[Child]] = defaultdict(list)
    fills: dict[str, list[Fill]] = defaultdict(list)
    gone: dict[str, list[FillKey]] = defaultdict(list)
    for row in read_rows(connection, f"SELECT * FROM broker_orders WHERE order_id IN ({wanted})", since_us):
        children[row["order_id"]].append(rows.child_of(row))
    # In the sequence they were taken in, as the order held them.
    for row in read_rows(
        connection, f"SELECT * FROM trades WHERE order_id IN ({wanted}) ORDER BY recorded_at_us, timestamp_us", since_us
    ):
        fill = rows.fill_of(row)
        fills[row["order_id"]].append(fill)
        if row["status"] == TradeStatus.REVERSED.value:
            gone[row["order_id"]].append(fill.key)
    found = read_rows(connection, f"SELECT * FROM orders WHERE order_id IN ({wanted}) ORDER BY created_at_us", since_us)
    return tuple(
        rows.order_of(row, children[row["order_id"]], fills[row["order_id"]], gone[row["order_id"]]) for row in found
    )


def _exit_plan(row: dict[str, Any]) -> ExitPlan:
    return ExitPlan(
        key=rows.position_key(row), signal_id=row["signal_id_reference"], stop=row["price_stop"],
        target=row["price_target"], trail=row["trail_distance"] or 0.0, best=row["price_best"] or 0.0,
        leave_at_us=row["leave_at_us"] or 0,
    )  # fmt: skip


def _cursor(connection: sqlite3.Connection) -> Cursor:
    found = read_rows(connection, "SELECT * FROM signal_cursors WHERE source = 'signals'")
    return Cursor(found[0]["store_uuid"], found[0]["outbox_seq"]) if found else Cursor()


def _last_day(connection: sqlite3.Connection) -> DayFigures | None:
    found = read_rows(connection, "SELECT * FROM trading_days ORDER BY trading_date DESC LIMIT 1")
    if not found:
        return None
    row = found[0]
    high = read_rows(connection, "SELECT max(equity_high_paise) AS high FROM trading_days")[0]["high"]
    return DayFigures(date.fromisoformat(row["trading_date"]), row["equity_start_paise"], high, row["orders_sent"])


def _loss_lock(connection: sqlite3.Connection) -> date | None:
    found = read_rows(
        connection,
        "SELECT trading_date FROM risk_locks WHERE kind = 'daily_loss' AND scope_kind = 'account' "
        "AND cleared_at_us IS NULL ORDER BY trading_date DESC LIMIT 1",
    )
    return date.fromisoformat(found[0]["trading_date"]) if found else None
