"""I3: a copy goes back under the owner's lock, what it replaces is kept, and the way back is another restore."""

from __future__ import annotations

import json
import shlex
import sqlite3
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from libs.core.errors import Refused
from libs.dbaccess import BackupManager, DatabaseManager, Role, Store, StoreCorrupt, WriterLock, WriterLockHeld
from libs.dbaccess.backup import list_copies, newest_copy, restore_market, restore_sqlite
from libs.dbaccess.layout import Layout
from libs.dbaccess.roles import OWNERS
from libs.settings.storage import Sqlite
from tests.kit.commands import fleet_here
from tests.kit.crashes import Crash, crashing_at
from tests.kit.processes import first_line, run_code, running_code
from tests.kit.roots import copy_stores
from tests.kit.stores import ORDER, insert

LOAD = """
    import sys
    from libs.dbaccess import DatabaseManager, Role, Store
    from libs.dbaccess.roles import OWNERS
    from tests.kit.stores import ORDER, insert
    store = Store(sys.argv[2])
    USER = {"is_active": 1, "created_at_us": 1, "updated_at_us": 1}
    number = 0
    with DatabaseManager(sys.argv[1], OWNERS[store]).writer_session(store) as session:
        while True:
            with session.transaction() as connection:
                if store is Store.TRADING:
                    insert(connection, "orders", ORDER | {"order_id": f"o-{number}"})
                else:
                    insert(connection, "users", USER | {"name": f"u-{number}"})
            number += 1
            if number % 20 == 0:
                print(number, flush=True)
"""
CLOSING = """
    import sys
    from datetime import date, timedelta
    from tests.integration.dbaccess.test_restore import close_day
    for number in range(10_000):
        close_day(sys.argv[1], date(2000, 1, 3) + timedelta(days=number), rows=number % 50 + 1)
        print(number, flush=True)
"""
RESTORE = """
    import sys
    from pathlib import Path
    from libs.dbaccess import DatabaseManager, Role, Store
    from libs.dbaccess.backup import restore_sqlite
    restore_sqlite(DatabaseManager(sys.argv[1], Role.EXECUTION_ENGINE), Store.TRADING, Path(sys.argv[2]))
"""
TUESDAY, THURSDAY = date(2026, 2, 3), date(2026, 2, 5)


@pytest.fixture
def root(data_root):
    copy_stores(data_root)
    return data_root


def engine(root):
    return DatabaseManager(root, Role.EXECUTION_ENGINE)


def ingestor(root):
    return DatabaseManager(root, Role.INGESTOR)


def quiet(done, total, what):
    pass


def orders(path) -> list[str]:
    return column(path, "SELECT order_id FROM orders ORDER BY created_at_us, rowid")


def column(path, sql: str) -> list[str]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute(sql)]
    finally:
        connection.close()


def printed_way_back(done) -> list[str]:
    """The words of the command that a restore said one goes back by, as a shell would hand them over."""
    [line] = [line for line in done.stdout.splitlines() if line.startswith("to go back: fleet ")]
    return shlex.split(line.removeprefix("to go back: fleet "))


def close_day(root, day: date, rows: int = 50) -> None:
    with ingestor(root).historical_writer("nse", "ticks", None, day) as writer:
        times = pd.date_range(f"{day} 09:15", periods=rows, freq="s", tz="Asia/Kolkata")
        writer.append(
            pd.DataFrame({"symbol": "TCS", "timestamp": times, "price": 1.5, "volume": 1, "seq": range(rows)})
        )


def day_rows(root, day: date) -> int:
    with DatabaseManager(root).historical_reader("nse", "ticks", None, day) as connection:
        return connection.execute("SELECT count(*) FROM ticks").fetchall()[0][0]


@pytest.mark.parametrize(
    ("store", "names"), [("trading", "SELECT order_id FROM orders"), ("config", "SELECT name FROM users")]
)
def test_restore_after_load_and_crash_gives_exactly_the_copy(tmp_path, store, names):
    """Its owner writes, a copy is made beside it, it goes on and is killed; and what it was is to be had again."""
    root = tmp_path / "the data"
    copy_stores(root)
    path = Layout(root).store(Store(store))
    before = column(path, names)
    with running_code(LOAD, root, store) as process:
        first_line(process)
        copy = made_copy(root, store)
        busy = fleet_here("restore", store, copy, "--data-root", root)
        first_line(process)  # it went on meanwhile
        process.kill()
        process.wait()
    in_copy = column(copy, names)
    assert (busy.returncode, str(process.pid) in busy.stderr) == (3, True)
    assert len(in_copy) >= len(before) + 20

    done = fleet_here("restore", store, copy, "--data-root", root)
    assert done.returncode == 0, done.stderr
    assert column(path, names) == in_copy
    assert path.stat().st_mode & 0o777 == 0o600
    with DatabaseManager(root, OWNERS[Store(store)]).writer_session(Store(store)):
        pass  # and its owner starts on it

    back = fleet_here(*printed_way_back(done), TRADEFLEET_DATA=str(tmp_path / "elsewhere"))
    assert back.returncode == 0, back.stderr
    at_the_end = column(path, names)
    assert len(at_the_end) >= len(before) + 40
    assert set(in_copy) <= set(at_the_end)
    assert fleet_here(*printed_way_back(back)).returncode == 0
    assert column(path, names) == in_copy


def made_copy(root, store: str) -> Path:
    copies = BackupManager(root)
    return copies.backup_trading_db() if store == "trading" else copies.backup_config_db()


def test_a_broken_store_is_replaced_and_no_way_back_to_it_is_promised(root):
    run_orders(root, *(f"o-{n}" for n in range(500)))
    copy = BackupManager(root).backup_trading_db()
    path = Layout(root).store(Store.TRADING)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    done = fleet_here("restore", "trading", copy, "--data-root", root)

    assert done.returncode == 0, done.stderr
    assert len(orders(path)) == 500
    assert "to go back: there is no way back" in done.stdout
    assert list(path.parent.glob("trading.db.replaced-*")) != []


def test_market_restore_after_load_and_crash_gives_the_days_of_the_copy(tmp_path):
    """Days are being closed while they are copied; the closer is killed in the middle of one and days are spoiled."""
    root = tmp_path / "the data"
    copy_stores(root)
    with running_code(CLOSING, root) as process:
        while int(first_line(process)) < 5:
            continue
        copy = BackupManager(root).backup_market_data()
        first_line(process)  # it went on meanwhile
        process.kill()
        process.wait()
    names = [path.name for path in sorted(copy.glob("nse/ticks/*.duckdb"))]
    assert len(names) >= 6
    folder = Layout(root).series("nse", "ticks", None)
    before = {path.name: day_rows(root, date.fromisoformat(path.stem)) for path in folder.glob("2*.duckdb")}
    (folder / names[0]).unlink()
    for name in names[1:3]:
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(b"spoiled")

    done = fleet_here("restore", "market", copy, "--data-root", root)
    assert done.returncode == 0, done.stderr
    assert {name: day_rows(root, date.fromisoformat(name[:10])) for name in before} == before
    assert "not there before, and there also when you go back: 1 files" in done.stdout
    assert fleet_here("db", "verify", "market", "--data-root", root).returncode == 0
    # Going back brings the spoiled days again, as they were; they are days of nobody, so they are refused.
    back = fleet_here(*printed_way_back(done))
    assert (back.returncode, names[1] in back.stderr) == (1, True)
    assert {name: day_rows(root, date.fromisoformat(name[:10])) for name in before} == before


def test_going_back_gives_what_was_there(root):
    copy = BackupManager(root).backup_trading_db()
    run_orders(root, "late-1", "late-2")
    first = restore_sqlite(engine(root), Store.TRADING, copy)
    path = Layout(root).store(Store.TRADING)
    assert orders(path) == []

    restore_sqlite(engine(root), Store.TRADING, Path(first.kept or ""))
    assert sorted(orders(path)) == ["late-1", "late-2"]
    assert orders(copy) == []


def run_orders(root, *names):
    with engine(root).trading_writer() as connection:
        for name in names:
            insert(connection, "orders", ORDER | {"order_id": name})


@pytest.mark.parametrize("point", ["replace.rename.before", "replace.rename.after"])
def test_killed_restore_is_the_old_store_or_the_new(root, point):
    copy = BackupManager(root).backup_trading_db()
    run_orders(root, "o-1")
    done = run_code(RESTORE, root, copy, TRADEFLEET_CRASH_AT=point)
    assert done.returncode == -9, done.stderr

    path = Layout(root).store(Store.TRADING)
    assert orders(path) == ([] if point.endswith("after") else ["o-1"])
    restore_sqlite(engine(root), Store.TRADING, copy)
    assert orders(path) == []


def test_what_is_no_sound_copy_is_refused_and_the_store_stays(root, tmp_path):
    run_orders(root, *(f"o-{n}" for n in range(500)))
    manager = BackupManager(root)
    config, damaged = manager.backup_config_db(), manager.backup_trading_db()
    with damaged.open("r+b") as file:
        file.seek(damaged.stat().st_size // 2)
        file.write(b"\xff" * 40_960)
    text = tmp_path / "text.db"
    text.write_text("no database at all")
    for source, error in ((config, Refused), (damaged, StoreCorrupt), (text, StoreCorrupt)):
        with pytest.raises(error, match=source.name):
            restore_sqlite(engine(root), Store.TRADING, source)

    assert len(orders(Layout(root).store(Store.TRADING))) == 500
    assert not list(root.glob("trading/*.restore*"))
    states = {copy.path: copy.state for copy in list_copies(manager.root, Sqlite(), verify=True)}
    assert states[str(config)] == "whole"
    assert states[str(damaged)].startswith("damaged")


def test_market_restore_brings_back_lost_and_changed_days_and_keeps_what_it_replaces(root):
    close_day(root, TUESDAY)
    close_day(root, THURSDAY)
    copy = BackupManager(root).backup_market_data(date(2026, 2, 6))
    lost, changed = (Layout(root).day("nse", "ticks", None, day) for day in (TUESDAY, THURSDAY))
    lost.unlink()
    changed.unlink()
    close_day(root, THURSDAY, rows=7)
    close_day(root, date(2026, 2, 9))

    done = restore_market(ingestor(root), copy, report=quiet)
    assert (done.placed, done.same) == (2, 0)
    assert (day_rows(root, TUESDAY), day_rows(root, THURSDAY), day_rows(root, date(2026, 2, 9))) == (50, 50, 50)
    assert lost.stat().st_mode & 0o777 == 0o444
    assert fleet_here("db", "verify", "market", "--data-root", root).returncode == 0

    again = restore_market(ingestor(root), copy, report=quiet)
    assert (again.placed, again.same, again.kept) == (0, 2, None)
    assert fleet_here(*shlex.split(done.go_back)[1:]).returncode == 0
    assert day_rows(root, THURSDAY) == 7


@pytest.mark.parametrize(
    ("point", "hit"), [("backup.rename.before", 1), ("backup.rename.after", 1), ("backup.rename.before", 2)]
)
def test_market_restore_that_dies_has_each_day_whole_and_keeps_what_it_replaced(root, point, hit):
    days = (TUESDAY, THURSDAY)
    for day in days:
        close_day(root, day)
    copy = BackupManager(root).backup_market_data(date(2026, 2, 6))
    for day in days:
        Layout(root).day("nse", "ticks", None, day).unlink()
        close_day(root, day, rows=7)
    with pytest.raises(Crash), crashing_at(point, hit):
        restore_market(ingestor(root), copy, report=quiet)
    assert {day_rows(root, day) for day in days} <= {7, 50}

    restore_market(ingestor(root), copy, report=quiet)
    assert [day_rows(root, day) for day in days] == [50, 50]
    assert fleet_here("db", "verify", "market", "--data-root", root).returncode == 0
    for kept in (root / "backups/market_data").glob("replaced_*"):
        restore_market(ingestor(root), kept, report=quiet)
    assert [day_rows(root, day) for day in days] == [7, 7]


def test_a_day_that_went_bad_is_taken_from_the_copy_before(root):
    """The catalogue says what a day's bytes were; a file that rotted since is not copied over its good copy."""
    close_day(root, TUESDAY)
    close_day(root, THURSDAY)
    manager = BackupManager(root)
    manager.backup_market_data(date(2026, 2, 6))
    good = Layout(root).day("nse", "ticks", None, TUESDAY)
    rotten = good.read_bytes()
    good.chmod(0o644)
    good.write_bytes(rotten[:-100] + b"\xff" * 100)
    second = manager.backup_market_data(date(2026, 2, 13))
    assert (second / "nse/ticks/2026-02-03.duckdb").read_bytes() == rotten

    for copy in (second.parent / "20260206", second):  # no good copy left: the day is named, the others are copied
        (copy / "nse/ticks/2026-02-03.duckdb").unlink()
    with pytest.raises(StoreCorrupt, match="2026-02-03"):
        manager.backup_market_data(date(2026, 2, 20))
    assert (second.parent / "20260220/nse/ticks/2026-02-05.duckdb").exists()


def test_market_restore_waits_for_nobody(root):
    close_day(root, TUESDAY)
    copy = BackupManager(root).backup_market_data(date(2026, 2, 6))
    with WriterLock(Layout(root).lock(Store.LIVE)), pytest.raises(WriterLockHeld, match="live_buffer"):
        restore_market(ingestor(root), copy, report=quiet)


def test_the_list_is_newest_first_and_knows_the_unfinished(root):
    close_day(root, TUESDAY)
    done = fleet_here("backup", "all", "--data-root", root, "--json")
    assert done.returncode == 0, done.stderr
    unfinished = root / "backups/market_data/20200101"
    unfinished.mkdir()
    listed = fleet_here("backups", "--data-root", root, "--json", "--verify")

    copies = json.loads(listed.stdout)["copies"]
    assert [copy["store"] for copy in copies] == ["trading", "config", "market", "market"]
    assert [copy["state"] for copy in copies] == ["whole", "whole", "whole", "unfinished"]
    assert newest_copy(root / "backups", "market") != unfinished
