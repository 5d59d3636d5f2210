"""Migrations: whole or not at all, after a backup, on real files and under real kills."""

from __future__ import annotations

import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from libs.core.clock import SystemClock
from libs.core.errors import Refused
from libs.dbaccess import SchemaTooNew, StoreCorrupt, StoreMissing
from libs.dbaccess.connections import backup_sqlite, sqlite_writer
from libs.dbaccess.migrate import (
    PLANS,
    Migration,
    MigrationChanged,
    check_schema_version,
    latest,
    migrate,
    read_schema_version,
    refuse_newer,
    tables_of,
    version_of,
    write_schema_version,
)
from libs.settings.storage import Sqlite
from tests.kit.processes import run_code

CLOCK = SystemClock()
#: Splits the watchlists' names off into a table of their own: rebuilds a table that others point at.
REBUILD = (
    "CREATE TABLE watchlists_new (watchlist_id INTEGER PRIMARY KEY, name TEXT NOT NULL, colour TEXT NOT NULL) STRICT",
    "INSERT INTO watchlists_new SELECT watchlist_id, upper(name), 'green' FROM watchlists",
    "DROP TABLE watchlists",
    "ALTER TABLE watchlists_new RENAME TO watchlists",
)
SECOND = Migration(2, "colour the watchlists", REBUILD)
PLAN = (*PLANS["config"], SECOND)


@pytest.fixture
def store(tmp_path):
    """A config store of version 1 with a row worth keeping."""
    path = tmp_path / "config.db"
    with writer(path) as connection:
        migrate(connection, "config", clock=CLOCK, backup=None)
        connection.execute("INSERT INTO watchlists VALUES (1, 'banks', NULL, 1, 1)")
        connection.execute("INSERT INTO watchlist_items VALUES (1, 'nse', 'SBIN', 0)")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def writer(path: Path):
    return sqlite_writer(path, Sqlite(), durable=True)


def never_called() -> Path:
    raise AssertionError("a backup was asked for")


def content(path: Path) -> list[str]:
    """Everything in a store but the time of its migrations and the random name it was given."""
    with closing(sqlite3.connect(path)) as connection:
        lines = [line for line in connection.iterdump() if "store_identity" not in line]
    return [re.sub(r"\d{16}", "<time>", line) for line in lines]


@pytest.mark.parametrize("name", PLANS)
def test_a_new_store_gets_the_whole_schema(tmp_path, name):
    """No backup of nothing; the second time there is nothing to do."""
    with writer(tmp_path / "s.db") as connection:
        assert version_of(connection) is None
        assert migrate(connection, name, clock=CLOCK, backup=never_called) == list(range(1, latest(name) + 1))
        assert migrate(connection, name, clock=CLOCK, backup=never_called) == []
        assert version_of(connection) == latest(name)
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        rows = connection.execute("SELECT * FROM schema_migrations ORDER BY version").fetchall()
        (version, step, at_us, code, checksum) = rows[0]

    assert set(tables_of(name)) == tables
    assert (version, step, checksum) == (1, "initial schema", PLANS[name][0].checksum)
    assert at_us > 0
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", code)


def test_a_store_with_data_is_backed_up_first(store, tmp_path):
    """The backup is complete, of the version before, and made before anything changes."""
    before = content(store)

    with writer(store) as connection:

        def backup() -> Path:
            assert version_of(connection) == 1
            backup_sqlite(connection, tmp_path / "backup.db")
            return tmp_path / "backup.db"

        assert migrate(connection, "config", clock=CLOCK, backup=backup, plan=PLAN) == [2]
        assert connection.execute("SELECT name, colour FROM watchlists").fetchall() == [("BANKS", "green")]
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert content(tmp_path / "backup.db") == before


def test_without_a_backup_a_store_with_data_is_left_alone(store):
    before = content(store)

    with writer(store) as connection:
        with pytest.raises(Refused, match="without a backup"):
            migrate(connection, "config", clock=CLOCK, backup=None, plan=PLAN)

        def full_disk() -> Path:
            raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space"):
            migrate(connection, "config", clock=CLOCK, backup=full_disk, plan=PLAN)
    assert content(store) == before


def _fail(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM roles WHERE role = 'viewer'")
    raise Refused("in the middle")


def _orphan(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM watchlists")


FAILURES = [
    ((*REBUILD, "INSERT INTO nowhere VALUES (1)"), "no such table"),
    (_fail, "in the middle"),
    (_orphan, "broken references"),
]


@pytest.mark.parametrize(("change", "complaint"), FAILURES)
def test_a_failure_in_the_middle_leaves_no_trace(store, change, complaint):
    """Version 1, every row, and foreign keys on again."""
    before = content(store)
    bad = (*PLANS["config"], Migration(2, "bad", change))

    with writer(store) as connection:
        with pytest.raises((sqlite3.OperationalError, Refused), match=complaint):
            migrate(connection, "config", clock=CLOCK, backup=lambda: store, plan=bad)
        assert version_of(connection) == 1
        assert not connection.in_transaction
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    assert content(store) == before


def test_a_later_failure_keeps_the_steps_before_it(store):
    """Each step has its own transaction; the next run goes on from there."""
    third = (*PLAN, Migration(3, "third", ("CREATE TABLE third (x INTEGER) STRICT", "SELECT nonsense")))

    with writer(store) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, "config", clock=CLOCK, backup=lambda: store, plan=third)
        assert version_of(connection) == 2
        repaired = (*PLAN, Migration(3, "third", ("CREATE TABLE third (x INTEGER) STRICT",)))
        assert migrate(connection, "config", clock=CLOCK, backup=lambda: store, plan=repaired) == [3]


UPGRADE = """
    import sys
    from pathlib import Path
    from libs.core.clock import SystemClock
    from libs.dbaccess.connections import backup_sqlite, sqlite_writer
    from libs.dbaccess.migrate import PLANS, Migration, migrate
    from libs.settings.storage import Sqlite

    store, folder = Path(sys.argv[1]), Path(sys.argv[2])
    plan = (*PLANS["config"], Migration(2, "colour the watchlists", tuple(sys.argv[3:])))
    with sqlite_writer(store, Sqlite(), durable=True) as connection:
        def backup():
            target = folder / f"backup_{len(list(folder.glob('backup_*')))}.db"
            backup_sqlite(connection, target)
            return target
        print(migrate(connection, "config", clock=SystemClock(), backup=backup, plan=plan))
"""


@pytest.mark.parametrize(("point", "version"), [("migrate.commit.before", 1), ("migrate.commit.after", 2)])
def test_a_kill_at_a_commit_changes_nothing_in_the_end(store, tmp_path, point, version):
    """Killed on either side of the commit and run again, the store is the one an undisturbed run leaves."""
    undisturbed = tmp_path / "undisturbed.db"
    undisturbed.write_bytes(store.read_bytes())
    before = content(store)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert run_code(UPGRADE, undisturbed, elsewhere, *REBUILD).returncode == 0

    killed = run_code(UPGRADE, store, tmp_path, *REBUILD, TRADEFLEET_CRASH_AT=point)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert content(tmp_path / "backup_0.db") == before
    with writer(store) as connection:
        assert version_of(connection) == version
    again = run_code(UPGRADE, store, tmp_path, *REBUILD)
    assert again.stdout.strip() == ("[2]" if version == 1 else "[]"), again.stderr
    assert content(store) == content(undisturbed)


@pytest.mark.parametrize("point", ["migrate.commit.before", "migrate.commit.after"])
def test_a_kill_while_a_store_is_made_is_made_good(tmp_path, point):
    """The first migration is no exception: nothing, or all of it."""
    code = """
        import sys
        from pathlib import Path
        from libs.core.clock import SystemClock
        from libs.dbaccess.connections import sqlite_writer
        from libs.dbaccess.migrate import migrate
        from libs.settings.storage import Sqlite
        with sqlite_writer(Path(sys.argv[1]), Sqlite(), durable=True) as connection:
            migrate(connection, "trading", clock=SystemClock(), backup=None)
    """
    path = tmp_path / "trading.db"
    assert run_code(code, path, TRADEFLEET_CRASH_AT=point).returncode == -signal.SIGKILL
    with writer(path) as connection:
        assert version_of(connection) == (None if point.endswith("before") else latest("trading"))

    assert run_code(code, path).returncode == 0

    with writer(path) as connection:
        assert version_of(connection) == latest("trading")
        assert connection.execute("SELECT count(*) FROM store_identity").fetchone() == (1,)


def test_a_newer_store_is_refused_and_not_touched(store):
    with writer(store) as connection:
        migrate(connection, "config", clock=CLOCK, backup=lambda: store, plan=PLAN)
    before = store.read_bytes(), content(store)

    with writer(store) as connection:
        with pytest.raises(SchemaTooNew, match="version 2 is newer than this code's 1"):
            migrate(connection, "config", clock=CLOCK, backup=never_called)
        with pytest.raises(SchemaTooNew, match=re.escape(str(store))):
            refuse_newer(connection, "config", store)
    assert (store.read_bytes(), content(store)) == before


def test_an_edited_migration_is_reported(store):
    """Its name, and both checksums."""
    first = PLANS["config"][0]
    assert isinstance(first.change, tuple)
    edited = (Migration(1, first.name, (*first.change, "CREATE TABLE x (y INTEGER) STRICT")),)

    with writer(store) as connection, pytest.raises(MigrationChanged, match=r"migration 1 \(initial schema\)") as told:
        migrate(connection, "config", clock=CLOCK, backup=never_called, plan=edited)
    assert first.checksum in str(told.value)
    assert edited[0].checksum in str(told.value)


def test_records_with_a_hole_are_corrupt(store):
    with writer(store) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (3, 'x', 1, '0', 'c')")
        steps = (*PLAN, Migration(3, "x", ()))
        with pytest.raises(StoreCorrupt, match=r"\[1, 3\]"):
            migrate(connection, "config", clock=CLOCK, backup=never_called, plan=steps)


def test_a_file_of_somebody_else_is_not_migrated(tmp_path):
    with writer(tmp_path / "s.db") as connection:
        connection.execute("CREATE TABLE photos (x)")
        with pytest.raises(Refused, match="photos"):
            migrate(connection, "config", clock=CLOCK, backup=never_called)
        connection.execute("BEGIN")
        with pytest.raises(Refused, match="inside one"):
            migrate(connection, "config", clock=CLOCK, backup=never_called)
        connection.execute("ROLLBACK")


def test_version_of_market_data(tmp_path):
    """A1: written once, read back, and newer data is refused and never marked older."""
    path = tmp_path / ".schema_version"
    with pytest.raises(StoreMissing):
        check_schema_version(path)
    write_schema_version(path)
    assert path.read_text() == "1.0.0\n"
    assert check_schema_version(path) == read_schema_version(path) == "1.0.0"

    path.write_text("1.10.0\n")
    for refused in (check_schema_version, write_schema_version):
        with pytest.raises(SchemaTooNew, match=re.escape(str(path))):
            refused(path)
    assert read_schema_version(path) == "1.10.0"


@pytest.mark.parametrize("text", [b"", b"one", b"1.0", b"1.0.0\n2.0.0", b"\xff\xfe", b"-1.0.0"])
def test_a_version_that_cannot_be_read_is_corrupt(tmp_path, text):
    path = tmp_path / ".schema_version"
    path.write_bytes(text)

    with pytest.raises(StoreCorrupt, match="schema_version"):
        check_schema_version(path)
