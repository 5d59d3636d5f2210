"""I3: a copy goes back under the owner's lock, what it replaces is kept, and the way back is another restore."""

from __future__ import annotations

import json
import sqlite3
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from libs.core.errors import Refused
from libs.dbaccess import BackupManager, DatabaseManager, Role, Store, StoreCorrupt, WriterLock, WriterLockHeld
from libs.dbaccess.backup import list_copies, newest_copy, restore_market, restore_sqlite
from libs.dbaccess.layout import Layout
from libs.settings.storage import Sqlite
from tests.kit.commands import fleet_here
from tests.kit.processes import first_line, run_code, running_code
from tests.kit.roots import copy_stores
from tests.kit.stores import ORDER, insert

ENGINE = """
    import sys
    from libs.dbaccess import DatabaseManager, Role, Store
    from tests.kit.stores import ORDER, insert
    number = 0
    with DatabaseManager(sys.argv[1], Role.EXECUTION_ENGINE).writer_session(Store.TRADING) as session:
        while True:
            with session.transaction() as connection:
                insert(connection, "orders", ORDER | {"order_id": f"o-{number}"})
            number += 1
            if number % 20 == 0:
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
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute("SELECT order_id FROM orders ORDER BY created_at_us, rowid")]
    finally:
        connection.close()


def close_day(root, day: date, rows: int = 50) -> None:
    with ingestor(root).historical_writer("nse", "ticks", None, day) as writer:
        times = pd.date_range(f"{day} 09:15", periods=rows, freq="s", tz="Asia/Kolkata")
        writer.append(
            pd.DataFrame({"symbol": "TCS", "timestamp": times, "price": 1.5, "volume": 1, "seq": range(rows)})
        )


def day_rows(root, day: date) -> int:
    with DatabaseManager(root).historical_reader("nse", "ticks", None, day) as connection:
        return connection.execute("SELECT count(*) FROM ticks").fetchall()[0][0]


def test_restore_after_load_and_crash_gives_exactly_the_copy(root):
    """The engine writes, a copy is made beside it, the engine dies at once and its file is spoiled."""
    with running_code(ENGINE, root) as process:
        first_line(process)
        copy = BackupManager(root).backup_trading_db()
        busy = fleet_here("restore", "trading", copy, "--data-root", root)
        first_line(process)  # it went on meanwhile
        process.kill()
        process.wait()
    path = Layout(root).store(Store.TRADING)
    in_copy = orders(copy)
    assert busy.returncode == 3
    assert str(process.pid) in busy.stderr
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)

    done = fleet_here("restore", "trading", copy, "--data-root", root, "--json")
    assert done.returncode == 0, done.stderr
    assert len(in_copy) >= 20
    assert orders(path) == in_copy
    assert path.stat().st_mode & 0o777 == 0o600
    with engine(root).trading_writer() as connection:  # and its owner starts on it
        connection.execute("DELETE FROM orders WHERE false")
    kept = json.loads(done.stdout)["kept"]
    assert kept
    assert f"fleet restore trading {kept}" == json.loads(done.stdout)["go_back"]


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
    back = done.go_back.removeprefix("fleet restore market ")
    assert fleet_here("restore", "market", back, "--data-root", root).returncode == 0
    assert day_rows(root, THURSDAY) == 7


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
