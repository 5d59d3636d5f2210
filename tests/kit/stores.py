"""New stores of every kind, and rows that are right until a test makes them wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from libs.dbaccess.connections import duckdb_writer, sqlite_writer
from libs.dbaccess.schema import SCHEMAS
from libs.settings.storage import Sqlite

ORDER = {
    "order_id": "tf1", "signal_id_reference": "s1", "strategy_id": "sma", "exchange": "nse", "symbol": "RELIANCE",
    "side": "buy", "order_type": "market", "product": "intraday", "purpose": "entry", "quantity": 10,
    "status": "intent", "created_at_us": 1, "updated_at_us": 1,
}  # fmt: skip
TRADE = {
    "trading_date": "2026-02-02", "exchange": "nse", "broker_order_id": "b1", "trade_id": "t1", "order_id": "tf1",
    "signal_id_reference": "s1", "strategy_id": "sma", "symbol": "RELIANCE", "side": "buy", "direction": "long",
    "product": "intraday", "status": "filled", "quantity": 10, "price": 100.5, "timestamp_us": 1, "recorded_at_us": 2,
}  # fmt: skip
POSITION = {
    "strategy_id": "sma", "exchange": "nse", "symbol": "RELIANCE", "product": "intraday", "quantity": 10,
    "price_average": 100.5, "updated_at_us": 1,
}  # fmt: skip
PROCESSED = {
    "signal_id": "s1", "store_uuid": "u", "outbox_seq": 1, "strategy_id": "sma", "exchange": "nse",
    "symbol": "RELIANCE", "timeframe": "1m", "bar_us": 1, "signal_type": "enter_long", "decision": "approved",
    "processed_at_us": 2,
}  # fmt: skip
INSIGHT = {
    "exchange": "nse", "symbol": "RELIANCE", "timeframe": "1m", "timestamp_us": 1, "direction": "bullish",
    "score": 0.5, "confidence": 0.5, "created_at_us": 2,
}  # fmt: skip


@contextmanager
def new_sqlite(path: Path, store: str) -> Iterator[sqlite3.Connection]:
    """Make a SQLite store's file as the manager would open it."""
    with sqlite_writer(path, Sqlite(), durable=False) as connection:
        for statement in SCHEMAS[store].statements:
            connection.execute(statement)
        yield connection


@contextmanager
def new_duckdb(path: Path, store: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Make a DuckDB file of a store."""
    with duckdb_writer(path) as connection:
        for statement in SCHEMAS[store].statements:
            connection.execute(statement)
        yield connection


def insert(connection: Any, table: str, row: dict[str, Any], **changes: Any) -> None:
    """Insert a row with some columns changed."""
    values = row | changes
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", list(values.values()))
