"""A7: copies are made beside a living owner, checked, linked where nothing changed, and pruned by age."""

from __future__ import annotations

import os
import sqlite3
from datetime import date, timedelta

import pandas as pd
import pytest

from libs.core.clock import SystemClock, day_start_us
from libs.dbaccess import BackupManager, DatabaseManager, Role, StoreMissing
from libs.dbaccess.backup import list_copies, newest_copy
from libs.settings.storage import Sqlite
from tests.kit.clock import ManualClock
from tests.kit.commands import fleet_here
from tests.kit.processes import first_line, run_code, running_code
from tests.kit.roots import copy_stores, settings

HOUR_US = 3_600_000_000


class Shifted(SystemClock):
    """The machine's clock, some hours on."""

    def __init__(self, hours: int) -> None:
        self.hours = hours

    def now_us(self) -> int:
        return super().now_us() + self.hours * HOUR_US


@pytest.fixture
def root(data_root):
    copy_stores(data_root)
    return data_root


def close_day(root, day: date) -> None:
    with DatabaseManager(root, Role.INGESTOR).historical_writer("nse", "ticks", None, day) as writer:
        times = pd.date_range(f"{day} 09:15", periods=50, freq="s", tz="Asia/Kolkata")
        writer.append(pd.DataFrame({"symbol": "TCS", "timestamp": times, "price": 1.5, "volume": 1, "seq": range(50)}))


def test_trading_backup_is_whole_while_the_engine_writes(root):
    writer = """
        import sys
        from libs.dbaccess import DatabaseManager, Role
        from tests.kit.stores import ORDER, insert
        db = DatabaseManager(sys.argv[1], Role.EXECUTION_ENGINE)
        number = 0
        while True:
            with db.trading_writer() as connection:
                insert(connection, "orders", ORDER | {"order_id": f"o-{number}"})
            number += 1
            if number == 5:
                print("writing", flush=True)
    """
    with running_code(writer, root) as engine:
        first_line(engine)
        copies = [BackupManager(root).backup_trading_db() for _ in range(3)]

    counts = []
    for copy in copies:
        with sqlite3.connect(copy) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            counts.append(connection.execute("SELECT count(*) FROM orders").fetchone()[0])
        connection.close()
    assert counts[0] >= 5
    assert counts == sorted(counts)
    assert {copy.stat().st_mode & 0o777 for copy in copies} == {0o600}


def test_names_are_the_documented_ones(root):
    trading, config = BackupManager(root).backup_trading_db(), BackupManager(root).backup_config_db()

    assert trading.relative_to(root / "backups").as_posix().startswith(f"trading/{trading.parent.name}/trading_")
    assert config.name == f"config_{trading.parent.name}.db"


def test_unchanged_days_are_linked_not_copied(root):
    close_day(root, date(2026, 2, 2))
    manager = BackupManager(root)
    first = manager.backup_market_data(date(2026, 2, 6))
    close_day(root, date(2026, 2, 9))
    second = manager.backup_market_data(date(2026, 2, 13))
    again = manager.backup_market_data(date(2026, 2, 13))

    old, new = (folder / "nse/ticks/2026-02-02.duckdb" for folder in (first, second))
    assert old.stat().st_ino == new.stat().st_ino
    assert again == second
    assert sorted(path.name for path in second.rglob("*.duckdb")) == ["2026-02-02.duckdb", "2026-02-09.duckdb"]
    assert (second / ".schema_version").read_text() == (root / "market_data/.schema_version").read_text()


def test_days_after_the_asked_one_stay_out(root):
    close_day(root, date(2026, 2, 2))
    close_day(root, date(2026, 2, 9))
    copy = BackupManager(root).backup_market_data(date(2026, 2, 6))

    assert [path.name for path in copy.rglob("*.duckdb")] == ["2026-02-02.duckdb"]


def test_old_copies_go_and_the_newest_stays(root):
    first = BackupManager(root).backup_trading_db()
    second = BackupManager(root, clock=Shifted(30)).backup_trading_db()
    assert not first.exists()
    assert second.exists()

    for day in range(6):
        BackupManager(root).backup_market_data(date(2026, 2, 2) + timedelta(weeks=day))
    assert len(list((root / "backups/market_data").iterdir())) == settings().backup.market_keep_weeks


def test_every_store_keeps_its_time_and_no_more(root):
    """Three days of hours, ten weeks of days and of weeks, on a clock that is moved; a stranger's file is let be."""
    clock = ManualClock(day_start_us(date(2026, 2, 2)))
    manager = BackupManager(root, clock=clock)
    strange = root / "backups/trading/20260101/trading_before_the_move.db"
    strange.parent.mkdir(parents=True)
    strange.touch()
    for _ in range(24):
        clock.sleep(3 * 3600)
        manager.backup_trading_db()
    hours = [copy.made_at_us for copy in list_copies(manager.root, Sqlite()) if copy.path != str(strange)]
    assert hours == [clock.now_us() - number * 3 * HOUR_US for number in range(9)]  # 24 hours and the ends of them
    assert strange.exists()

    for number in range(35):
        clock.sleep(2 * 86_400)
        manager.backup_config_db()
        if number % 7 == 0:  # every other week
            manager.backup_market_data()
    kept = {copy.store: [] for copy in list_copies(manager.root, Sqlite())}
    for copy in list_copies(manager.root, Sqlite()):
        kept[copy.store].append((clock.now_us() - copy.made_at_us) / HOUR_US / 24)
    assert [int(days) for days in kept["config"]] == list(range(0, 32, 2))
    assert len(kept["market"]) == 2
    assert len(kept["trading"]) == 10  # the newest stays, however old; nobody made another

    manager.backup_trading_db()
    assert len(list((root / "backups/trading").iterdir())) == 2  # the stranger's, and the one just made


def test_the_newest_copy_is_the_newest_by_its_name(root):
    """Copies that were moved with another tool all bear the time of the move."""
    clock = ManualClock()
    manager = BackupManager(root, clock=clock)
    first = manager.backup_trading_db()
    clock.sleep(60)
    second = manager.backup_trading_db()
    os.utime(second, (1, 1))

    assert first.exists()
    assert newest_copy(manager.root, "trading") == second


def test_a_damaged_or_empty_store_is_named_and_no_copy_of_it_is_left(root):
    """An empty file is what a full disk or a broken copy leaves; SQLite takes it for a database without tables."""
    path = root / "trading" / "trading.db"
    whole = path.read_bytes()
    for damage in (b"", whole[:8192], whole[:4096] + bytes(len(whole) - 4096)):
        path.write_bytes(damage)
        done = fleet_here("backup", "trading", "--data-root", root)

        assert done.returncode == 1
        assert str(path) in done.stderr
        assert not list((root / "backups").rglob("*.db*"))


def test_a_place_without_copies_is_said(root):
    """A backup root that was mistyped, or whose disk is not mounted, must not look like one that is all well."""
    gone = fleet_here("backups", "--verify", "--data-root", root, "--backup-root", root / "typo")
    none = fleet_here("restore", "market", "latest", "--data-root", root)

    assert (gone.returncode, none.returncode) == (4, 4)
    assert f"{root}/typo" in gone.stderr
    assert f"{root}/backups/market_data: " in none.stderr
    assert "no finished copy of market" in none.stderr


def test_missing_store_is_named(data_root):
    with pytest.raises(StoreMissing, match=r"trading\.db"):
        BackupManager(data_root).backup_trading_db()

    assert not list(data_root.rglob("*.db*"))


@pytest.mark.parametrize("point", ["backup.rename.before", "backup.rename.after"])
def test_killed_copy_is_there_whole_or_not_at_all(root, point):
    code = "import sys\nfrom libs.dbaccess import BackupManager\nBackupManager(sys.argv[1]).backup_config_db()"
    done = run_code(code, root, TRADEFLEET_CRASH_AT=point)
    assert done.returncode == -9, done.stderr

    copies = list((root / "backups/config").glob("config_*.db"))
    assert len(copies) == int(point.endswith("after"))
    BackupManager(root).backup_config_db()
    assert len(list((root / "backups/config").glob("config_*.db"))) == 1
