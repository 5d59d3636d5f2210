"""A8, B2, B3, B4: who may write what, and that every door closes behind whoever went through it."""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
from datetime import date

import duckdb
import psutil
import pytest

from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, OwnershipError, Role, Store, UnsafeName, WriterLockHeld
from libs.settings import load_settings
from tests.kit.processes import first_line, run_code, running_code
from tests.kit.roots import copy_stores

DAY = date(2026, 2, 2)
RUN = "run_20260202_101500_ab12"

WRITERS = {
    "historical_writer": (Role.INGESTOR, ("nse", "candles", "1m", DAY)),
    "live_buffer_writer": (Role.INGESTOR, ()),
    "trading_writer": (Role.EXECUTION_ENGINE, ()),
    "signals_writer": (Role.SCANNER, ()),
    "config_writer": (Role.API, ()),
    "backtest_writer": (Role.BACKTEST, (RUN,)),
    "backtest_index_writer": (Role.BACKTEST_INDEX, ()),
}
SQLITE = ["trading", "signals", "config", "backtest_index"]


@pytest.fixture
def stores(data_root):
    """A data root with every store in it."""
    copy_stores(data_root)
    return data_root


@pytest.mark.parametrize(("name", "role"), list(itertools.product(WRITERS, [*Role, None])))
def test_wrong_role_is_refused_before_anything_is_touched(tmp_path, name, role):
    """B3: also on a root that does not exist, where anything created would show."""
    owner, arguments = WRITERS[name]
    if role is owner:
        pytest.skip("the owner may")
    root = tmp_path / "nowhere"

    with pytest.raises(OwnershipError, match=owner.value), getattr(DatabaseManager(root, role), name)(*arguments):
        pass

    assert not root.exists()


@pytest.mark.parametrize("name", WRITERS)
def test_read_only_manager_gets_no_writer(data_root, name):
    owner, arguments = WRITERS[name]
    db = DatabaseManager(data_root, owner, read_only=True)

    with pytest.raises(OwnershipError), getattr(db, name)(*arguments):
        pass

    assert list(data_root.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in WRITERS if name != "backtest_writer"])
def test_second_owner_in_one_process_is_refused(stores, name):
    owner, arguments = WRITERS[name]

    with (
        getattr(DatabaseManager(stores, owner), name)(*arguments),
        pytest.raises(WriterLockHeld),
        getattr(DatabaseManager(stores, owner), name)(*arguments),
    ):
        pass


@pytest.mark.parametrize("store", SQLITE)
def test_second_owner_process_is_told_path_and_pid(stores, store):
    owner = WRITERS[f"{store}_writer"][0]
    hold = f"""
        import sys
        from libs.dbaccess import DatabaseManager
        with DatabaseManager(sys.argv[1], "{owner.value}").{store}_writer():
            print("in", flush=True)
            sys.stdin.read()
    """
    with running_code(hold, stores) as holder:
        first_line(holder)
        with pytest.raises(WriterLockHeld) as refusal, getattr(DatabaseManager(stores, owner), f"{store}_writer")():
            pass

    assert str(holder.pid) in str(refusal.value)
    assert ".writer.lock" in str(refusal.value)


@pytest.mark.parametrize("store", SQLITE)
def test_writer_commits_on_success_and_rolls_back_on_error(stores, store):
    db = DatabaseManager(stores, WRITERS[f"{store}_writer"][0])
    writer, reader = getattr(db, f"{store}_writer"), getattr(db, f"{store}_reader")
    with writer() as connection:
        connection.execute("CREATE TABLE kept (x INTEGER) STRICT")
    with pytest.raises(ZeroDivisionError), writer() as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        raise ZeroDivisionError

    with reader() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


ESCAPES = [
    "INSERT INTO sqlite_sequence VALUES ('x', 1)",
    "CREATE TABLE x (a)",
    "CREATE TEMP TABLE x (a)",
    "DROP TABLE schema_migrations",
    "DELETE FROM schema_migrations",
    "ATTACH ':memory:' AS other",
    "ATTACH 'other.db' AS other",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 7",
    "PRAGMA writable_schema = ON",
    "VACUUM INTO 'copy.db'",
    "REINDEX",
    "ANALYZE",
]


@pytest.mark.parametrize("sql", ESCAPES)
@pytest.mark.parametrize("store", SQLITE)
def test_sqlite_reader_cannot_write(stores, store, sql):
    """B4: `mode=ro`, `query_only` and the authorizer, each on its own enough for most of these."""
    with getattr(DatabaseManager(stores), f"{store}_reader")() as connection, pytest.raises(sqlite3.DatabaseError):
        connection.execute(sql)


def test_sqlite_is_read_where_nothing_can_be_written(stores, monkeypatch):
    """A root on a medium that is read only, or another user's: SQLite would make a file beside a store to read it."""
    path = stores / "trading" / "trading.db"
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # of root's own access bits tell nothing
    beside = set(path.parent.iterdir())
    with DatabaseManager(stores).trading_reader() as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(0,)]
        assert set(path.parent.iterdir()) == beside

    path.with_name("trading.db-wal").write_bytes(b"not taken in yet")
    with pytest.raises(Refused, match="not closed by its writer"), DatabaseManager(stores).trading_reader():
        pass


@pytest.mark.parametrize("name", ["trading_reader", "signals_reader", "config_reader", "backtest_index_reader"])
def test_missing_store_is_named(data_root, name):
    with pytest.raises(FileNotFoundError, match=r"\.db.*fleet init"), getattr(DatabaseManager(data_root), name)():
        pass

    assert list(data_root.iterdir()) == []


def test_missing_data_root_is_named(tmp_path):
    for name in ("trading_reader", "live_buffer_reader"):
        with pytest.raises(FileNotFoundError, match="nowhere"), getattr(DatabaseManager(tmp_path / "nowhere"), name)():
            pass


def test_writer_on_a_root_without_stores_makes_its_own(data_root):
    with DatabaseManager(data_root, Role.EXECUTION_ENGINE).trading_writer() as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)

    assert [path.name for path in data_root.iterdir()] == ["trading"]


def test_threads_of_one_owner_write_in_turn(stores):
    """J6 in small: threads wait for each other instead of failing on the lock."""
    db = DatabaseManager(stores, Role.EXECUTION_ENGINE)
    with db.trading_writer() as connection:
        connection.execute("CREATE TABLE counter (x INTEGER) STRICT")
        connection.execute("INSERT INTO counter VALUES (0)")

    def add():
        for _ in range(25):
            with db.trading_writer() as connection:
                (value,) = connection.execute("SELECT x FROM counter").fetchone()
                connection.execute("UPDATE counter SET x = ?", (value + 1,))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with db.trading_reader() as connection:
        assert connection.execute("SELECT x FROM counter").fetchone() == (100,)


def test_thread_that_would_wait_for_itself_is_told(stores):
    db = DatabaseManager(stores, Role.EXECUTION_ENGINE)

    with db.trading_writer(), pytest.raises(Refused, match="already writes"), db.trading_writer():
        pass


def test_nothing_stays_open(stores):
    """B2: a hundred openings, half of them failing in the block, leave no descriptor behind."""
    db = DatabaseManager(stores, Role.INGESTOR)
    with db.historical_writer("nse", "ticks", None, DAY) as writer:
        writer.execute(
            "INSERT INTO ticks (symbol, timestamp, price, volume, seq) VALUES ('A', '2026-02-02 10:00', 1, 1, 1)"
        )
    openings = [
        DatabaseManager(stores).trading_reader,
        DatabaseManager(stores).config_reader,
        DatabaseManager(stores, Role.SCANNER).signals_writer,
        lambda: db.historical_reader("nse", "ticks", None, DAY),
    ]
    process = psutil.Process()
    for opening in openings:
        with opening():
            pass
    before = process.num_fds()
    for number, opening in zip(range(100), itertools.cycle(openings), strict=False):
        try:
            with opening():
                if number % 2:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            continue

    assert process.num_fds() == before


@pytest.mark.parametrize("exchange", ["../nse", "n'se", "nse\0", "", "n/se", "."])
def test_hostile_exchange_is_refused(stores, exchange):
    with pytest.raises(UnsafeName), DatabaseManager(stores).historical_reader(exchange, "ticks", None, DAY):
        pass


def test_link_out_of_the_data_root_is_refused(stores, tmp_path):
    outside = tmp_path / "outside.db"
    path = stores / "trading" / "trading.db"
    path.rename(outside)
    path.symlink_to(outside)

    for opening in (DatabaseManager(stores).trading_reader, DatabaseManager(stores, "execution_engine").trading_writer):
        with pytest.raises(UnsafeName, match="leads out of the data root"), opening():
            pass


def test_backtest_runner_writes_only_the_run_it_created(stores):
    db = DatabaseManager(stores, Role.BACKTEST)
    with db.backtest_writer(RUN):
        pass

    with pytest.raises(Refused, match="this run exists"), db.backtest_writer(RUN):
        pass
    with db.backtest_reader(RUN) as connection, pytest.raises(duckdb.Error):
        connection.execute("CREATE TABLE x (a INT)")


def test_failed_run_leaves_nothing(stores):
    with pytest.raises(ZeroDivisionError), DatabaseManager(stores, Role.BACKTEST).backtest_writer(RUN):
        raise ZeroDivisionError

    assert list((stores / "backtest" / "runs").iterdir()) == []


@pytest.mark.parametrize("run_id", ["../x", "run_1", "run_20260202_101500_zz", "run_20260202_101500_ab12/../x"])
def test_hostile_run_id_is_refused(stores, run_id):
    with pytest.raises(UnsafeName), DatabaseManager(stores).backtest_reader(run_id):
        pass


def test_checkpoints_follow_the_policy_and_can_be_watched(stores):
    settings = load_settings(environment={"TRADEFLEET_SQLITE_CHECKPOINT_TRANSACTIONS_MAX": "10"})
    db = DatabaseManager(stores, Role.EXECUTION_ENGINE, settings=settings)
    with db.writer_session(Store.TRADING) as session:
        for _ in range(25):
            with session.transaction() as connection:
                connection.execute("CREATE TABLE IF NOT EXISTS x (a INTEGER) STRICT")
                connection.execute("INSERT INTO x VALUES (1)")

    assert db.checkpoints(Store.TRADING).checkpoints == 2
    assert db.checkpoints(Store.TRADING).transactions == 5


@pytest.mark.parametrize("point", ["sqlite.commit.before", "sqlite.commit.after"])
def test_kill_around_a_commit_leaves_all_or_nothing(stores, point):
    code = """
        import sys
        from libs.dbaccess import DatabaseManager, Role
        with DatabaseManager(sys.argv[1], Role.EXECUTION_ENGINE).trading_writer() as connection:
            connection.execute("CREATE TABLE pair (x INTEGER) STRICT")
            connection.execute("INSERT INTO pair VALUES (1), (2)")
    """
    done = run_code(code, stores, TRADEFLEET_CRASH_AT=point)
    assert done.returncode == -9, done.stderr

    with DatabaseManager(stores).trading_reader() as connection:
        found = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'pair'").fetchone()
    assert found == ((1,) if point.endswith("after") else (0,))
