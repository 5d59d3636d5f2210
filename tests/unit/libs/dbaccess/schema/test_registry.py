"""What the registry says is what real files hold."""

from __future__ import annotations

from collections import defaultdict

import pytest

from libs.contracts import TIMEFRAMES, OrderStatus, OrderType, Origin, Side, SignalType, TradeDirection, TradeStatus
from libs.dbaccess import migrate
from libs.dbaccess.roles import OWNERS, Role, Store
from libs.dbaccess.schema import SCHEMAS, TABLE_OWNERS, tables
from tests.kit.stores import INSIGHT, ORDER, PROCESSED, TRADE, insert, new_duckdb, new_sqlite

SQLITE = [name for name, schema in SCHEMAS.items() if schema.engine == "sqlite"]
DUCKDB = [name for name, schema in SCHEMAS.items() if schema.engine == "duckdb"]


@pytest.mark.parametrize("store", SQLITE)
def test_sqlite_tables_are_strict_described_and_owned(store, tmp_path):
    """What is in the file, what the comments describe and what has an owner are the same tables and columns."""
    with new_sqlite(tmp_path / "store.db", store) as connection:
        real = {
            name: (strict, [(row[1], row[2]) for row in connection.execute(f"PRAGMA table_info({name})")])
            for _, name, kind, _, _, strict in connection.execute("PRAGMA table_list").fetchall()
            if kind == "table" and not name.startswith("sqlite_")
        }
    described = {table.name: [(c.name, c.type) for c in table.columns] for table in tables(SCHEMAS[store].statements)}

    assert {name: columns for name, (_, columns) in real.items()} == described
    assert all(strict for strict, _ in real.values())
    assert {f"{store}.{name}" for name in real} == {key for key in TABLE_OWNERS if key.startswith(f"{store}.")}


@pytest.mark.parametrize("store", DUCKDB)
def test_duckdb_tables_are_described_and_owned(store, tmp_path):
    """The same for DuckDB files."""
    with new_duckdb(tmp_path / "store.duckdb", store) as connection:
        rows = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal ORDER BY table_oid, column_index"
        ).fetchall()
    real = defaultdict(list)
    for table, column in rows:
        real[table].append(column)
    described = {table.name: [column.name for column in table.columns] for table in tables(SCHEMAS[store].statements)}

    assert dict(real) == described
    assert {f"{store}.{name}" for name in real} == {key for key in TABLE_OWNERS if key.startswith(f"{store}.")}


def test_every_table_has_one_owner():
    """A8: the owner is the one role that owns the store the table's file belongs to."""
    assert {schema.store for schema in SCHEMAS.values()} == set(Store)
    for key, owner in TABLE_OWNERS.items():
        assert OWNERS[SCHEMAS[key.split(".")[0]].store] is Role(owner)


def test_every_table_and_column_says_what_it_means():
    silent = [
        f"{store}.{table.name}.{column.name if column else ''}"
        for store, schema in SCHEMAS.items()
        for table in tables(schema.statements)
        for column in (None, *table.columns)
        if not (column.meaning if column else table.meaning)
    ]

    assert not silent


@pytest.mark.parametrize("store", SQLITE)
def test_migrations_lead_to_the_schema_version(store):
    assert migrate.latest(store) == SCHEMAS[store].version
    assert [step.version for step in migrate.PLANS[store]] == list(range(1, migrate.latest(store) + 1))


REQUIRED = {
    "trading": "orders order_events trades positions portfolio_snapshots broker_sync_state execution_log risk_events "
    "processed_signals signal_cursors trading_states commands reconciliation_differences barrier_misses outbox",
    "signals": "signals scan_results confluence_insights feature_snapshots regime pattern_cache model_results "
    "analytics_metrics runner_state outbox store_identity",
    "config": "users roles user_roles sessions api_tokens watchlists watchlist_items strategy_configs risk_limits "
    "preferences alert_settings instruments audit_log",
    "backtest_index": "runs sweeps jobs",
    "backtest_run": "run signals orders trades equity_curve positions metrics sweep_results",
    "ledger": "feed_gaps late_ticks quarantine backfills repairs",
    "catalogue": "catalogue_days catalogue_symbols completeness_certificates",
}


@pytest.mark.parametrize("store", REQUIRED)
def test_tables_of_the_requirements_are_there(store):
    """A1 to A6."""
    assert set(REQUIRED[store].split()) <= set(migrate.tables_of(store))


def test_roles_are_seeded_and_stores_have_names(tmp_path):
    """A6; a wiped store is another store."""
    uuids = set()
    for number in range(2):
        with new_sqlite(tmp_path / f"{number}.db", "config") as connection:
            roles = connection.execute("SELECT role FROM roles ORDER BY role").fetchall()
            uuids |= set(connection.execute("SELECT store_uuid FROM store_identity").fetchall())

    assert roles == [("admin",), ("viewer",)]
    assert len(uuids) == 2


def test_every_word_of_the_contracts_can_be_stored(tmp_path):
    """The CHECKs know the same words as libs.contracts: a status added there and not here fails this test."""
    with new_sqlite(tmp_path / "trading.db", "trading") as connection:
        for number, status in enumerate(OrderStatus):
            sent = None if status is OrderStatus.INTENT else 1
            insert(connection, "orders", ORDER, order_id=f"a{number}", status=status.value, sending_at_us=sent)
        for number, kind in enumerate(OrderType):
            insert(connection, "orders", ORDER, order_id=f"b{number}", order_type=kind.value, price=1.0,
                   price_trigger=1.0)  # fmt: skip
        for number, (side, direction) in enumerate((s, d) for s in Side for d in TradeDirection):
            insert(connection, "trades", TRADE, order_id="a0", trade_id=str(number), side=side.value,
                   direction=direction.value)  # fmt: skip
        for status in TradeStatus:
            insert(connection, "trades", TRADE, order_id="a0", trade_id=status.value, status=status.value)
        for number, kind in enumerate(SignalType):
            insert(connection, "processed_signals", PROCESSED, signal_id=str(number), signal_type=kind.value)
        stored = connection.execute("SELECT count(*) FROM orders").fetchone()

    assert stored == (len(OrderStatus) + len(OrderType),)


def test_candles_know_the_contracts_timeframes_and_origins(tmp_path):
    with new_duckdb(tmp_path / "c.duckdb", "live_candles") as connection:
        for timeframe in TIMEFRAMES:
            for number, origin in enumerate(Origin):
                connection.execute(
                    "INSERT INTO candles VALUES ('A', ?, to_timestamp(?), 1, 2, 1, 2, 0, ?, NULL)",
                    [timeframe, number, origin.value],
                )

        assert connection.execute("SELECT count(*) FROM candles").fetchall() == [(len(TIMEFRAMES) * len(Origin),)]


def test_an_insight_can_be_stored(tmp_path):
    with new_sqlite(tmp_path / "signals.db", "signals") as connection:
        insert(connection, "confluence_insights", INSIGHT, metadata_json='{"slope": 1, "note": "may stop here"}')

        assert connection.execute("SELECT count(*) FROM confluence_insights").fetchone() == (1,)
