"""A7: copies are made beside a living owner, checked, linked where nothing changed, and pruned by age."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta

import pandas as pd
import pytest

from libs.core.clock import SystemClock
from libs.dbaccess import BackupManager, DatabaseManager, Role, StoreMissing
from tests.kit.processes import first_line, run_code, running_code
from tests.kit.roots import make_stores, settings

HOUR_US = 3_600_000_000


class Shifted(SystemClock):
    """The machine's clock, some hours on."""

    def __init__(self, hours: int) -> None:
        self.hours = hours

    def now_us(self) -> int:
        return super().now_us() + self.hours * HOUR_US


@pytest.fixture
def root(data_root):
    make_stores(data_root)
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
