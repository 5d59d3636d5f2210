"""B7: an older installation goes over whole: counted, checked, resumable; its own bytes are as before."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import date
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from libs.dbaccess import DatabaseManager, MarketDataQuery, Store, WriterLock, WriterLockHeld
from libs.dbaccess.coverage import stored_certificates
from libs.dbaccess.layout import Layout
from libs.dbaccess.legacy import migrate_legacy, sources_of_environment
from tests.kit.commands import fleet_here
from tests.kit.paths import PROJECT
from tests.kit.processes import run_code
from tests.kit.roots import copy_stores, settings

LAYOUTS = PROJECT / "tests" / "fixtures" / "legacy"
USERS = """
    SELECT name, password_hash IS NULL, is_active, role FROM users JOIN user_roles USING (user_id)
    WHERE name IN ('asha', 'ravi') ORDER BY name
"""
TRADES = "SELECT trade_id, order_id, fees_paise, profit_paise FROM trades ORDER BY trade_id"
ADJUSTMENTS = "SELECT symbol, quantity FROM adjustments ORDER BY symbol"
RUN = """
    import sys
    from pathlib import Path
    from libs.dbaccess.legacy import migrate_legacy
    from tests.kit.roots import settings
    migrate_legacy(sys.argv[1], [Path(each) for each in sys.argv[2:]], settings=settings(), report=lambda *_: None)
"""


@pytest.fixture
def root(data_root):
    copy_stores(data_root)
    return data_root


def quiet(done, total, what):
    pass


@pytest.fixture
def monolith(tmp_path) -> Path:
    path = tmp_path / "trading_bot.duckdb"
    with duckdb.connect(str(path)) as old:
        for part in ("monolith", "monolith_rows"):
            old.execute((LAYOUTS / f"{part}.sql").read_text())
    return path


@pytest.fixture
def three(tmp_path) -> list[Path]:
    paths = []
    for name in ("trading", "market_data", "analytics"):
        paths.append(tmp_path / f"{name}.db")
        old = sqlite3.connect(paths[-1])
        old.execute("PRAGMA journal_mode = WAL")
        for part in (name, f"{name}_rows"):
            old.executescript((LAYOUTS / f"{part}.sql").read_text())
        old.close()
    return paths


def state(paths) -> list[tuple[str, str, int]]:
    """The bytes and times of the old files, and which files stand beside them."""
    return sorted(
        (p.name, hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in paths[0].parent.iterdir()
        if p.is_file()
    )


def migrate(root, *sources, **options):
    report = migrate_legacy(root, list(sources), settings=settings(), report=quiet, **options)
    return report, {each.table: each for each in report.tables}


def rows(root, store: Store, sql: str) -> list[tuple]:
    with DatabaseManager(root).reader(store) as connection:
        return [tuple(row) for row in connection.execute(sql)]


def candles(root, timeframe, exchange="nse", symbol="TCS"):
    with MarketDataQuery(DatabaseManager(root)) as query:
        return query.get_candles(symbol, exchange, timeframe, None, None)


def parquet(sql: str) -> list[dict]:
    """Ask files on a connection of our own: what another test left unread on the one of the process is its affair."""
    with duckdb.connect() as connection:
        return connection.execute(sql).to_arrow_table().to_pylist()


def test_one_big_file_goes_over_whole(root, monolith):
    before = state([monolith])
    _, planned = migrate(root, monolith, dry_run=True)
    assert {name: each.target for name, each in planned.items() if each.state == "planned"} == {
        "ohlcv_1m": "nse/candles/1m", "ohlcv_1h": "nse/candles/1h", "ticks": "nse/ticks", "users": "config.users",
        "roles": "config.roles", "user_roles": "config.user_roles", "orders": "trading.orders",
        "trades": "trading.trades", "confluence_insights": "signals.confluence_insights"}  # fmt: skip
    assert not list(Layout(root).market.rglob("20*.duckdb"))
    assert rows(root, Store.TRADING, "SELECT count(*) FROM orders") == [(0,)]

    report, done = migrate(root, monolith)
    assert report.succeeded, report.tables
    assert {name: (each.rows, each.placed + each.there) for name, each in done.items() if each.state == "done"} == {
        "ohlcv_1m": (30, 30), "ohlcv_1h": (1, 1), "ticks": (30, 30), "users": (2, 2), "roles": (2, 2),
        "user_roles": (2, 2), "orders": (2, 2), "trades": (2, 2), "confluence_insights": (1, 1)}  # fmt: skip
    assert (done["telegram_chats"].state, done["positions"].state) == ("unknown", "kept")
    assert done["old_ideas.notes"].state == "unknown"
    assert candles(root, "1m").close.tolist() == [101 + n for n in range(30)]
    assert candles(root, "1m").timestamp[0] == pd.Timestamp("2026-02-02 09:15", tz="Asia/Kolkata")
    assert candles(root, "1h").high.tolist() == [500.0]  # kept as such, not made of the minutes
    assert done["ohlcv_1m"].extra_columns == ("vwap",)
    assert parquet(f"SELECT sum(vwap) AS sum FROM '{done['ohlcv_1m'].extra_kept_in}'") == [{"sum": 30 * 100.5}]
    assert rows(root, Store.CONFIG, USERS) == [
        ("asha", 0, 1, "admin"), ("ravi", 1, 0, "viewer")]  # fmt: skip
    assert rows(root, Store.TRADING, "SELECT order_id, status, product, price FROM orders ORDER BY order_id")[:2] == [
        ("O-1", "filled", "intraday", None), ("O-2", "expired", "delivery", 120.5)]  # fmt: skip
    assert rows(root, Store.TRADING, TRADES) == [
        ("T-1", "O-1", 2007, None), ("T-2", "O-9", 10, 1234)]  # fmt: skip
    assert rows(root, Store.TRADING, ADJUSTMENTS) == [
        ("INFY", 3),
        ("TCS", -10),
    ]
    [(score, metadata)] = rows(root, Store.SIGNALS, "SELECT score, metadata_json FROM confluence_insights")
    assert score == 0.72
    assert json.loads(metadata) == {"id": 1, "reasons": "ema, rsi"}
    assert "stop_loss" in parquet(f"SELECT * FROM '{done['confluence_insights'].extra_kept_in}'")[0]
    assert state([monolith]) == before
    assert fleet_here("db", "verify", "market", "--data-root", root).returncode == 0


def test_exchange_and_zone_are_for_rows_that_name_none(root, tmp_path):
    """B7: bars of a server that kept UTC, of another exchange; times with a zone of their own are as they are."""
    path = tmp_path / "trading_bot.duckdb"
    with duckdb.connect(str(path)) as old:
        old.execute((LAYOUTS / "monolith.sql").read_text())
        old.execute("""
            INSERT INTO ohlcv_1m
            SELECT 'TCS', TIMESTAMP '2026-02-02 03:45:00' + INTERVAL (n) MINUTE, 100, 102, 99, 101, 10, 100.5
            FROM range(5) t(n)
        """)
    before = state([path])
    done = fleet_here("migrate", path, "--exchange", "bse", "--tz", "UTC", "--json", "--data-root", root)
    assert done.returncode == 0, done.stderr
    (bars,) = (each for each in json.loads(done.stdout)["tables"] if each["table"] == "ohlcv_1m")
    assert (bars["target"], bars["placed"]) == ("bse/candles/1m", 5)
    assert candles(root, "1m", "bse").timestamp[0] == pd.Timestamp("2026-02-02 09:15", tz="Asia/Kolkata")
    assert candles(root, "1m").empty
    assert state([path]) == before

    wrong = fleet_here("migrate", path, "--tz", "Mars/Base", "--data-root", root)
    assert wrong.returncode == 1
    assert "Mars/Base" in wrong.stderr


def test_three_files_go_over_and_a_bad_row_is_told(root, three):
    before = state(three)
    report, done = migrate(root, *three)
    assert not report.succeeded
    assert [(each.table, each.refused) for each in report.tables if each.refused] == [("analytics_metrics", 1)]
    assert "'much' is no number" in done["analytics_metrics"].problems[0]
    assert done["candlesticks"].target == "bse/candles/1d, nse/candles/1d, nse/candles/1h, nse/candles/1m"
    assert [len(candles(root, each)) for each in ("1m", "1d", "1h")] == [20, 1, 1]
    assert candles(root, "1d").high.tolist() == [107]
    assert len(candles(root, "1d", "bse", "SBIN")) == 1
    assert rows(root, Store.SIGNALS, "SELECT pattern, strength, detail_json FROM pattern_cache")[0][:2] == (
        "doji",
        0.85,
    )
    assert rows(root, Store.TRADING, "SELECT total_us FROM execution_log ORDER BY 1") == [
        (None,),
        (12500,),
    ]
    assert rows(root, Store.TRADING, "SELECT sum(fees_paise) FROM trades") == [(150,)]
    assert state(three) == before

    again, second = migrate(root, *three)
    assert rows(root, Store.TRADING, "SELECT count(*) FROM trades") == [(1,)]
    assert {each.state for each in again.tables} == {"done before", "done", "kept"}
    assert second["analytics_metrics"].there == 1


@pytest.mark.parametrize(
    "point",
    [
        "legacy.copied.after",
        "legacy.table.before:2",
        "import.day.after",
    ],
)
def test_killed_migration_goes_on_to_the_same_end(root, monolith, point):
    before = state([monolith])
    killed = run_code(RUN, root, monolith, TRADEFLEET_CRASH_AT=point)
    assert killed.returncode == -9, killed.stderr
    report, done = migrate(root, monolith)

    assert report.succeeded, report.tables
    assert all(each.placed + each.there == each.rows for each in done.values() if each.state in {"done", "done before"})
    assert len(candles(root, "1m")) == 30
    certified = stored_certificates(DatabaseManager(root), "nse", date(2026, 1, 1), date(2026, 12, 31))
    assert sum(each.bars_backfilled for each in certified) == 30
    assert rows(root, Store.TRADING, "SELECT count(*), sum(quantity) FROM trades") == [(2, 13)]
    assert rows(root, Store.TRADING, ADJUSTMENTS) == [
        ("INFY", 3),
        ("TCS", -10),
    ]
    assert len(rows(root, Store.CONFIG, "SELECT name FROM users WHERE name IN ('asha', 'ravi')")) == 2
    assert state([monolith]) == before


def test_rows_still_in_the_log_go_over_too(root, tmp_path):
    """An old installation that was killed leaves its last rows in SQLite's log."""
    path = tmp_path / "trading.db"
    old = sqlite3.connect(path)
    old.execute("PRAGMA journal_mode = WAL")
    old.executescript((LAYOUTS / "trading.sql").read_text())
    old.execute("INSERT INTO trades VALUES (1, NULL, 'TCS', 'buy', 4, 99.95, 1.5, '2026-02-02 09:15:00')")
    old.commit()
    lying = tmp_path / "lying"
    lying.mkdir()
    for name in ("trading.db", "trading.db-wal"):
        (lying / name).write_bytes((tmp_path / name).read_bytes())
    old.close()
    report, done = migrate(root, lying / "trading.db")

    assert (report.succeeded, done["trades"].placed) == (True, 1)
    assert sorted(each.name for each in lying.iterdir()) == ["trading.db", "trading.db-wal"]


def test_owners_are_asked_to_stop_and_sources_are_found_by_the_environment(root, monolith):
    with WriterLock(Layout(root).lock(Store.TRADING)), pytest.raises(WriterLockHeld, match="trading"):
        migrate(root, monolith)
    done = fleet_here("migrate", "--dry-run", "--json", "--data-root", root, TRADING_DB_PATH=str(monolith))
    assert {each["source"] for each in json.loads(done.stdout)["tables"]} == {"trading_bot.duckdb"}

    found = sources_of_environment(
        {"DATABASE_URL": "sqlite:////old/trading.db", "MARKET_DATABASE_URL": "sqlite:///m.db"}
    )
    assert sorted(map(str, found)) == ["/old/trading.db", "m.db"]
