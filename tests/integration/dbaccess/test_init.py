"""B6: every store is made whole or not at all, again and again, by several at once."""

from __future__ import annotations

import json
import sqlite3
import stat
from contextlib import closing

import pytest

from libs.core.clock import SystemClock
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager, Role, SchemaTooNew, Store, catalogue, migrate, schema
from libs.dbaccess.connections import sqlite_writer
from libs.dbaccess.init import ensure_store
from libs.dbaccess.layout import SQLITE_STORES, Layout
from tests.kit.processes import first_line, fleet, run_code, running_code
from tests.kit.roots import make_stores, settings

INIT = """
    import sys
    from tests.kit.roots import make_stores
    from pathlib import Path
    print(*(made.action for made in make_stores(Path(sys.argv[1]))), sep="|", flush=True)
"""


def every_file(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_six_stores_are_made_private(tmp_path):
    root = tmp_path / "data"
    made = make_stores(root)

    assert [row.store for row in made] == ["history", "live", "trading", "signals", "config", "backtest_index"]
    assert {row.action for row in made} == {"created"}
    for path in root.rglob("*"):
        private = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == private, path


@pytest.mark.parametrize("store", SQLITE_STORES)
def test_every_table_of_the_schema_is_there(tmp_path, store):
    make_stores(tmp_path)
    with DatabaseManager(tmp_path).reader(store) as connection:
        found = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        mode = connection.execute("PRAGMA integrity_check").fetchone()

    assert set(schema.table_names(store.value)) <= found
    assert mode == ("ok",)


def test_roles_are_seeded(tmp_path):
    """A6."""
    make_stores(tmp_path)
    with DatabaseManager(tmp_path).config_reader() as connection:
        roles = {row[0] for row in connection.execute("SELECT role FROM roles")}

    assert roles == {"admin", "viewer"}


def test_trading_store_syncs_every_commit(tmp_path):
    """DESIGN §5: FULL for the store that holds money, NORMAL for the rest, WAL for all."""
    make_stores(tmp_path)
    found = {}
    for store, role in [(Store.TRADING, Role.EXECUTION_ENGINE), (Store.SIGNALS, Role.SCANNER)]:
        with DatabaseManager(tmp_path, role).writer_session(store) as session:
            pragmas = ("journal_mode", "synchronous", "foreign_keys")
            found[store] = [session.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]

    assert found == {Store.TRADING: ["wal", 2, 1], Store.SIGNALS: ["wal", 1, 1]}


def test_again_changes_nothing(tmp_path):
    make_stores(tmp_path)
    before = every_file(tmp_path)
    again = make_stores(tmp_path)

    assert {row.action for row in again} == {"current"}
    assert every_file(tmp_path) == before


def test_several_at_once_do_no_harm(tmp_path):
    with (
        running_code(INIT, tmp_path) as one,
        running_code(INIT, tmp_path) as other,
        running_code(INIT, tmp_path) as third,
    ):
        lines = [first_line(process) for process in (one, other, third)]

    assert all(len(line.split("|")) == 6 for line in lines)
    assert {row.action for row in make_stores(tmp_path)} == {"current"}
    assert not [name for name in every_file(tmp_path) if name.endswith((".new", ".tmp", ".staged"))]


@pytest.mark.parametrize(
    "point", ["init.rename.before", "init.rename.after", "migrate.commit.before", "migrate.commit.after"]
)
@pytest.mark.parametrize("hit", [1, 3, 5])
def test_killed_anywhere_it_is_finished_by_the_next(tmp_path, point, hit):
    done = run_code(INIT, tmp_path, TRADEFLEET_CRASH_AT=f"{point}:{hit}")
    assert done.returncode == -9, done.stderr
    make_stores(tmp_path)

    assert {row.action for row in make_stores(tmp_path)} == {"current"}
    for store in SQLITE_STORES:
        with DatabaseManager(tmp_path).reader(store) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_store_in_use_is_left_to_its_owner(tmp_path):
    make_stores(tmp_path)
    with DatabaseManager(tmp_path, Role.EXECUTION_ENGINE).writer_session(Store.TRADING):
        actions = {row.store: row.action for row in make_stores(tmp_path)}

    assert actions["trading"].startswith("in use by process")
    assert actions["config"] == "current"


@pytest.mark.parametrize("store", SQLITE_STORES)
def test_newer_store_is_refused_not_opened(tmp_path, store):
    make_stores(tmp_path)
    path = Layout(tmp_path).store(store)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, 'future', 0, '9.9', 'x')")
    connection.close()
    before = path.read_bytes()

    for opening in (lambda db: db.reader(store), lambda db: db.writer_session(store)):
        role = {"trading": "execution_engine", "signals": "scanner", "config": "api"}.get(store.value, store.value)
        with pytest.raises(SchemaTooNew, match="99"), opening(DatabaseManager(tmp_path, role)):
            pass
    assert path.read_bytes() == before


def test_older_store_is_upgraded_after_a_backup(tmp_path, monkeypatch):
    """A6: a migration is preceded by a backup, which holds what was there."""
    from libs.dbaccess.migrate import Migration, plans

    layout = Layout(tmp_path)
    make_stores(tmp_path)
    with DatabaseManager(tmp_path, Role.API).config_writer() as connection:
        connection.execute("INSERT INTO roles (role, description) VALUES ('auditor', 'reads the log')")
    step = Migration(2, "remember a colour", ("CREATE TABLE colours (name TEXT NOT NULL) STRICT",))
    monkeypatch.setitem(plans.PLANS, "config", (*plans.PLANS["config"], step))
    action = ensure_store(layout, Store.CONFIG, clock=SystemClock(), settings=settings().sqlite)

    assert action == "upgraded from version 1 to 2"
    (backup,) = (layout.backups / "before_upgrade" / "config").iterdir()
    with sqlite3.connect(backup) as copy:
        assert copy.execute("SELECT max(version) FROM schema_migrations").fetchone() == (1,)
        assert ("auditor",) in copy.execute("SELECT role FROM roles").fetchall()
    copy.close()


@pytest.mark.parametrize("place", ["data root", "directory", "store"])
def test_something_else_in_the_way_is_named(tmp_path, place):
    root = tmp_path / "data"
    path = {"data root": root, "directory": root / "trading", "store": root / "trading" / "trading.db"}[place]
    path.parent.mkdir(parents=True, exist_ok=True)
    if place == "store":
        path.mkdir()
    else:
        path.write_text("in the way")

    done = fleet("init", TRADEFLEET_DATA=str(root))
    assert done.returncode == 1
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_command_says_what_it_did_and_is_repeatable(tmp_path):
    first, second = (fleet("init", "--json", TRADEFLEET_DATA=str(tmp_path / "new")) for _ in range(2))

    assert first.returncode == second.returncode == 0, first.stderr
    assert {row["action"] for row in json.loads(first.stdout)["stores"]} == {"created"}
    assert {row["action"] for row in json.loads(second.stdout)["stores"]} == {"current"}


def test_foreign_file_in_a_stores_place_is_refused(tmp_path):
    path = Layout(tmp_path).store(Store.TRADING)
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE somebody_elses (x)")
    connection.close()

    with (
        pytest.raises(Refused, match="no store of ours"),
        DatabaseManager(tmp_path, "execution_engine").trading_writer(),
    ):
        pass


def test_a_catalogue_of_version_1_is_brought_up_to_date_after_a_copy(data_root):
    """B7: by the first who closes a day, with every day still listed."""
    layout, clock, sqlite = Layout(data_root), SystemClock(), settings().sqlite
    make_stores(data_root)
    day = "('nse', 'ticks', '', '2026-02-02', 'x', 1, 1, 1, 'c', 'import', 'hot', 'v', 1, NULL)"
    layout.catalogue.unlink()
    with sqlite_writer(layout.catalogue, sqlite, durable=True) as connection, pytest.MonkeyPatch.context() as patched:
        patched.setitem(migrate.PLANS, "catalogue", migrate.PLANS["catalogue"][:1])
        migrate.migrate(connection, "catalogue", clock=clock, backup=None)
        connection.execute(f"INSERT INTO catalogue_days VALUES {day}")

    catalogue.ensure(layout, clock=clock, settings=sqlite)

    with closing(sqlite3.connect(layout.catalogue)) as connection:
        indexes = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")]
        assert migrate.version_of(connection) == 2
        assert connection.execute("SELECT count(*) FROM catalogue_days").fetchone() == (1,)
    assert "catalogue_days_by_date" in indexes
    assert not [name for name in indexes if name.endswith("_by_symbol")]
    [copy] = (layout.backups / "before_upgrade" / "catalogue").iterdir()
    with closing(sqlite3.connect(copy)) as connection:
        assert migrate.version_of(connection) == 1
