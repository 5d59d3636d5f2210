"""B7: an older installation goes over whole: counted, checked, resumable; its own bytes are as before."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
from datetime import date
from pathlib import Path
from random import Random

import duckdb
import pandas as pd
import pytest

from libs.dbaccess import DatabaseManager, MarketDataQuery, Store, WriterLock, WriterLockHeld
from libs.dbaccess.coverage import stored_certificates
from libs.dbaccess.layout import Layout
from libs.dbaccess.legacy import migrate_legacy, sources_of_environment
from libs.dbaccess.legacy.source import open_copy
from tests.integration.dbaccess.test_bad_disks import small_disk
from tests.kit.commands import fleet_here
from tests.kit.lives import lives_of
from tests.kit.paths import PROJECT
from tests.kit.roots import copy_stores, settings

LAYOUTS = PROJECT / "tests" / "fixtures" / "legacy"
USERS = """
    SELECT name, password_hash IS NULL, is_active, role FROM users JOIN user_roles USING (user_id)
    WHERE name IN ('asha', 'ravi') ORDER BY name
"""
TRADES = "SELECT trade_id, order_id, fees_paise, profit_paise FROM trades ORDER BY trade_id"
ADJUSTMENTS = "SELECT symbol, quantity FROM adjustments ORDER BY symbol"
#: Where it is killed, one after the other, each in the life after: so each is reached, whatever was done before.
KILLS = [
    "legacy.copied.after", "sqlite.commit.before", "sqlite.commit.after:2", "legacy.table.before:2",
    "legacy.table.after:2", "history.rename.before", "import.day.after",
    "import.certify.before",
]  # fmt: skip


def main(arguments: list[str]) -> None:
    """Migrate: the life that is killed."""
    root, *sources = arguments
    migrate_legacy(root, [Path(each) for each in sources], settings=settings(), report=quiet)


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
    assert {name: each.extra_columns for name, each in planned.items() if each.extra_columns} == {
        "ohlcv_1m": ("vwap",), "users": ("email",), "roles": ("description",),
        "confluence_insights": ("id", "stop_loss", "reasons")}  # fmt: skip
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
    assert {name: each.extra_columns for name, each in done.items() if each.extra_columns} == {
        name: each.extra_columns for name, each in planned.items() if each.extra_columns}  # fmt: skip
    assert [row["email"] for row in parquet(f"SELECT email FROM '{done['users'].extra_kept_in}' ORDER BY 1")] == [
        "a@b", "r@b"]  # fmt: skip
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
    assert wrong.returncode == 2
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


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """Migrations to kill."""
    with lives_of(__name__, tmp_path_factory.mktemp("lives") / "errors") as begun:
        yield begun


def check_finished(root, monolith) -> None:
    """Go on to the end: it is as if nobody had killed it."""
    report, done = migrate(root, monolith)
    assert report.succeeded, report.tables
    assert all(each.placed + each.there == each.rows for each in done.values() if each.state in {"done", "done before"})
    assert len(candles(root, "1m")) == 30
    certified = stored_certificates(DatabaseManager(root), "nse", date(2026, 1, 1), date(2026, 12, 31))
    assert sum(each.bars_backfilled for each in certified) == 30
    assert rows(root, Store.TRADING, "SELECT count(*), sum(quantity) FROM trades") == [(2, 13)]
    assert rows(root, Store.TRADING, "SELECT count(*) FROM orders") == [(3,)]
    assert rows(root, Store.TRADING, ADJUSTMENTS) == [("INFY", 3), ("TCS", -10)]
    assert rows(root, Store.SIGNALS, "SELECT count(*) FROM confluence_insights") == [(1,)]
    assert len(rows(root, Store.CONFIG, "SELECT name FROM users WHERE name IN ('asha', 'ravi')")) == 2


def test_migration_killed_again_and_again_goes_on_to_the_same_end(root, monolith, lives):
    before = state([monolith])
    for point in KILLS:
        lives.begin(root, monolith, crash_at=point)
        assert lives.end() == -signal.SIGKILL, f"{point} was not reached: {lives.errors()}"

    check_finished(root, monolith)
    assert state([monolith]) == before


@pytest.mark.matrix
@pytest.mark.parametrize("seed", range(60))
def test_migration_killed_at_any_instant_goes_on_to_the_same_end(root, monolith, lives, seed):
    random = Random(seed)
    before = state([monolith])
    for _ in range(random.randrange(1, 5)):
        lives.begin(root, monolith)
        lives.end(random.uniform(0, 1.5))

    check_finished(root, monolith)
    assert state([monolith]) == before


def test_checksum_of_a_table_is_of_its_rows_whatever_their_order(tmp_path):
    """What the report says of a table can be held against the old installation."""
    sums = []
    for name, values in (("a", (1, 2, 3)), ("b", (3, 1, 2)), ("c", (1, 2, 4)), ("d", (1, 2))):
        with sqlite3.connect(tmp_path / name) as old:
            old.execute("CREATE TABLE t (n INTEGER, text TEXT)")
            old.executemany("INSERT INTO t VALUES (?, 'x')", [(each,) for each in values])
        old.close()
        with open_copy(tmp_path / name, tmp_path / name) as found:
            sums.append(found.checksum("t"))

    assert sums[0] == sums[1]
    assert len(set(sums)) == 3


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_what_a_killed_installation_left_in_its_log_is_as_sqlite_would_have_it(root, tmp_path, journal):
    """Committed rows that are only in the log go over; a transaction that was never committed does not.

    The files lie on a medium nobody can write to, where this account may mount one.
    """
    path = tmp_path / "trading.db"
    old = sqlite3.connect(path, isolation_level=None)
    old.execute("PRAGMA page_size = 512")
    old.execute(f"PRAGMA journal_mode = {journal}")
    old.executescript((LAYOUTS / "trading.sql").read_text())
    old.execute("BEGIN")
    for number in range(200):
        values = (number, None, "TCS", "buy", 4, 99.95, 1.5, "2026-02-02 09:15:00")
        old.execute("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    old.execute("COMMIT")
    old.execute("PRAGMA cache_size = 2")
    old.execute("BEGIN")
    old.execute("DELETE FROM trades WHERE id >= 10")  # does not fit into the cache: half of it is on disk
    with small_disk(tmp_path / "lying", 4) as lying:
        for each in tmp_path.glob("trading.db*"):
            if not each.name.endswith("-shm"):
                (lying / each.name).write_bytes(each.read_bytes())
        old.close()
        logged = [each.name for each in lying.iterdir() if each.name != path.name]
        assert logged == [f"trading.db-{'wal' if journal == 'WAL' else 'journal'}"]
        subprocess.run(["mount", "-o", "remount,ro", lying], check=True)
        before = state([lying / path.name])
        report, done = migrate(root, lying / path.name)
        assert state([lying / path.name]) == before

    assert (report.succeeded, done["trades"].rows, done["trades"].placed) == (True, 200, 200)


def test_what_is_no_older_installation_is_refused_by_its_own_name(root, three, tmp_path):
    """A store of the fleet's own has orders and trades, too; of a damaged file the copy's name helps nobody."""
    own = root / "trading" / "trading.db"
    torn = tmp_path / "torn.db"
    torn.write_bytes(three[0].read_bytes()[:5000])
    for source, code, said in (
        (own, 1, f"{own}: is a store of this fleet"), (torn, 1, f"{torn}: cannot be read: "),
        (tmp_path, 1, f"{tmp_path}: is a folder; name the database files"), (tmp_path / "gone.db", 4, "gone.db"),
    ):  # fmt: skip
        for words in ([], ["--dry-run"]):
            done = fleet_here("migrate", source, *words, "--data-root", root)

            assert (done.returncode, done.stdout) == (code, "")
            assert f"fleet: {said}" in done.stderr or (code == 4 and said in done.stderr)


def test_owners_are_asked_to_stop_and_sources_are_found_by_the_environment(root, monolith):
    with WriterLock(Layout(root).lock(Store.TRADING)), pytest.raises(WriterLockHeld, match="trading"):
        migrate(root, monolith)
    done = fleet_here("migrate", "--dry-run", "--json", "--data-root", root, TRADING_DB_PATH=str(monolith))
    assert {each["source"] for each in json.loads(done.stdout)["tables"]} == {"trading_bot.duckdb"}

    found = sources_of_environment(
        {"DATABASE_URL": "sqlite:////old/trading.db", "MARKET_DATABASE_URL": "sqlite:///m.db"}
    )
    assert sorted(map(str, found)) == ["/old/trading.db", "m.db"]
