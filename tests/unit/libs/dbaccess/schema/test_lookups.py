"""B9's lookups, and the ones services repeat all day, go through an index."""

from __future__ import annotations

import pytest

from libs.dbaccess.schema.trading import NOT_SETTLED
from tests.kit.stores import new_sqlite

LOOKUPS = [
    ("trading", "SELECT * FROM positions WHERE strategy_id = ? AND exchange = ? AND symbol = ? AND product = ?", 4),
    ("trading", "SELECT * FROM positions WHERE exchange = ? AND symbol = ?", 2),
    ("trading", "SELECT * FROM positions WHERE exchange = ? AND quantity <> 0", 1),
    ("trading", f"SELECT order_id FROM orders INDEXED BY orders_not_settled WHERE {NOT_SETTLED}", 0),
    ("trading", "SELECT * FROM orders WHERE symbol = ? ORDER BY created_at_us DESC LIMIT 100", 1),
    ("trading", "SELECT * FROM orders WHERE signal_id_reference = ?", 1),
    ("trading", "SELECT * FROM order_events WHERE order_id = ? ORDER BY event_id", 1),
    ("trading", "SELECT * FROM broker_orders WHERE order_id = ?", 1),
    ("trading", "SELECT * FROM broker_orders WHERE broker_order_id = ?", 1),
    ("trading", "SELECT * FROM trades WHERE order_id = ?", 1),
    ("trading", "SELECT * FROM trades WHERE symbol = ? AND timestamp_us BETWEEN ? AND ?", 3),
    ("trading", "SELECT avg(total_us), max(total_us) FROM execution_log WHERE recorded_at_us >= ?", 1),
    ("trading", "SELECT * FROM processed_signals WHERE signal_id = ?", 1),
    ("trading", "SELECT * FROM outbox WHERE stream = ? AND seq BETWEEN ? AND ?", 3),
    ("signals", ("SELECT * FROM pattern_cache WHERE symbol = ? AND exchange = ? AND timeframe = ? AND timestamp_us = ?"
                " AND pattern = ?"), 5),
    ("signals", "SELECT * FROM signals WHERE outbox_seq > ? ORDER BY outbox_seq LIMIT 500", 1),
    ("signals", "SELECT * FROM signals WHERE strategy_id = ? AND timestamp_us >= ?", 2),
    ("signals", "SELECT * FROM scan_results WHERE scan_id = ? AND timestamp_us = ?", 2),
    ("signals", "SELECT * FROM runner_state WHERE runner = ?", 1),
    ("signals", ("SELECT * FROM regime WHERE symbol = ? AND exchange = ? AND timeframe = ? ORDER BY timestamp_us DESC"
                " LIMIT 1"), 3),
    ("config", "SELECT * FROM instruments WHERE exchange = ? AND symbol = ? AND valid_to IS NULL", 2),
    ("config", "SELECT * FROM instruments WHERE instrument_key = ? AND valid_to IS NULL", 1),
    ("config", "SELECT * FROM sessions WHERE session_hash = ?", 1),
    ("config", "SELECT * FROM api_tokens WHERE token_hash = ?", 1),
    ("config", "SELECT * FROM users WHERE name = ?", 1),
    ("backtest_index", "SELECT * FROM runs ORDER BY created_at_us DESC LIMIT 50", 0),
    ("backtest_index", "SELECT * FROM jobs WHERE state = 'queued' ORDER BY requested_at_us LIMIT 1", 0),
    ("catalogue", ("SELECT * FROM catalogue_days WHERE exchange = ? AND data_type = ? AND timeframe = ? AND"
                  " trading_date BETWEEN ? AND ?"), 5),
    ("ledger", "SELECT * FROM feed_gaps WHERE exchange = ? AND trading_date = ?", 2),
    ("ledger", "SELECT * FROM feed_gaps WHERE to_us IS NULL ORDER BY from_us", 0),
]  # fmt: skip

#: These read an index from one end: the newest runs, and a partial index that holds nothing else.
READ_IN_ORDER = {
    f"SELECT order_id FROM orders INDEXED BY orders_not_settled WHERE {NOT_SETTLED}",
    "SELECT * FROM runs ORDER BY created_at_us DESC LIMIT 50",
    "SELECT * FROM feed_gaps WHERE to_us IS NULL ORDER BY from_us",
}


@pytest.mark.parametrize(("store", "sql", "values"), LOOKUPS)
def test_lookup_uses_an_index(store, sql, values, tmp_path):
    """No full scan and no sort, at any size."""
    with new_sqlite(tmp_path / "store.db", store) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", ["x"] * values)]

    allowed = ("SEARCH", "SCAN") if sql in READ_IN_ORDER else ("SEARCH",)
    assert all(step.startswith(allowed) and "USING" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize("store", ["trading", "config", "ledger", "catalogue", "backtest_index"])
def test_every_foreign_key_has_an_index(store, tmp_path):
    """Else each change of a parent reads the whole child table."""
    missing = []
    with new_sqlite(tmp_path / "store.db", store) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            for key in connection.execute(f"PRAGMA foreign_key_list({table})").fetchall():
                if key[1] != 0:
                    continue  # one column of several; the first one decides
                plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {key[3]} = 1").fetchall()
                missing += [f"{table}.{key[3]}" for step in plan if step[3].startswith("SCAN")]

    assert not set(missing) - SMALL


#: Parents of these are never deleted or renamed, or the child is small.
SMALL = {"orders.replaces", "trading_state_changes.command_id", "processed_signals.order_id"}
