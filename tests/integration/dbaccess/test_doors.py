"""A8, B2: doors that looked shut. Each of these was open once."""

from __future__ import annotations

import os
import threading
from datetime import date, datetime, timedelta

import pytest

from libs.core.clock import IST
from libs.core.errors import Refused
from libs.dbaccess import BackupManager, DatabaseManager, Role, Store, StoreCorrupt, UnsafeName, WriterLock
from libs.dbaccess.files import write_atomically
from libs.dbaccess.layout import Layout
from libs.dbaccess.runs import write_run
from tests.kit.roots import copy_stores

INSERT = "INSERT INTO ticks (symbol, timestamp, price, volume, seq) VALUES ('TCS', '2026-02-02 10:00', 1, 1, 1)"
RUN = "run_20260202_101500_ab12"


@pytest.fixture
def root(data_root):
    copy_stores(data_root)
    return data_root


@pytest.mark.parametrize("part", ["segments", "pins"])
def test_link_in_the_live_buffer_empties_nobodys_directory(root, tmp_path, part):
    """What no manifest lists is removed at every start, so a link there must be refused before."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious.txt").write_text("mine")
    folder = root / "live_buffer" / part
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.symlink_to(outside)

    with pytest.raises(UnsafeName), DatabaseManager(root, Role.INGESTOR).live_buffer_writer():
        pass
    assert (outside / "precious.txt").read_text() == "mine"


def test_result_of_a_query_is_no_way_to_the_connection(root):
    db = DatabaseManager(root, Role.INGESTOR)
    with db.live_buffer_writer() as buffer:
        results = [buffer["ticks"].execute(INSERT)]
    with db.historical_writer("nse", "ticks", None, date(2026, 2, 2)) as writer:
        results.append(writer.execute(INSERT))
    with db.live_buffer_reader() as connections:
        results.append(connections["ticks"].execute("SELECT symbol FROM ticks"))
        assert results[-1].fetchall() == [("TCS",)]

    assert not [name for result in results for name in ("execute", "sql", "cursor", "begin") if hasattr(result, name)]


def test_short_writes_make_a_whole_file(tmp_path, monkeypatch):
    """A disk that is nearly full takes a part and says so only by the count."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data[:3])))
    write_atomically(tmp_path / "manifest.json", b"0123456789")

    assert (tmp_path / "manifest.json").read_bytes() == b"0123456789"


def test_failed_replacement_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old")

    def full(_descriptor, _data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")

    assert [each.name for each in tmp_path.iterdir()] == ["manifest.json"]
    assert path.read_bytes() == b"old"


def test_backup_of_an_old_day_is_not_pruned_by_its_own_call(root):
    for day in range(10, 16):
        BackupManager(root).backup_market_data(date(2026, 2, day))
    made = BackupManager(root).backup_market_data(date(2025, 12, 1))

    assert made.is_dir()
    assert len(list(made.parent.iterdir())) == 7  # six days of one week, and the one just made


def test_loser_of_a_race_for_a_run_leaves_the_winners_file(root):
    path = Layout(root).backtest_run(RUN)
    with pytest.raises(Refused, match="this run exists"), write_run(path, root), write_run(path, root) as winner:
        winner.execute("CREATE TABLE proof AS SELECT 42 AS answer")

    with DatabaseManager(root).backtest_reader(RUN) as connection:
        assert connection.execute("SELECT answer FROM proof").fetchall() == [(42,)]
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_lock_that_is_a_link_empties_nobodys_file(tmp_path):
    outside = tmp_path / "precious.txt"
    outside.write_text("mine")
    (tmp_path / ".writer.lock").symlink_to(outside)

    with pytest.raises(OSError):
        WriterLock(tmp_path / ".writer.lock").acquire()
    assert outside.read_text() == "mine"


def test_empty_file_in_a_stores_place_is_not_taken_for_a_new_store(root):
    """All orders lost looks like a fresh start, if one lets it."""
    path = Layout(root).store(Store.TRADING)
    path.write_bytes(b"")
    writer = DatabaseManager(root, Role.EXECUTION_ENGINE).trading_writer

    with pytest.raises(StoreCorrupt, match=r"trading\.db.*backups"), writer():
        pass


def test_instant_names_its_day_in_india_and_a_text_is_refused(root):
    db = DatabaseManager(root, Role.INGESTOR)
    with db.historical_writer("nse", "ticks", None, datetime(2026, 2, 2, 23, 30, tzinfo=IST)) as writer:
        writer.execute(INSERT)

    assert db.layout.day("nse", "ticks", None, date(2026, 2, 2)).exists()
    with pytest.raises(UnsafeName, match="expected a date"), db.historical_reader("nse", "ticks", None, "2026-02-02"):
        pass


def test_block_that_writes_nothing_closes_nothing(root):
    db = DatabaseManager(root, Role.INGESTOR)
    with db.historical_writer("nse", "ticks", None, date(2026, 2, 2)):
        pass

    assert list(db.layout.series("nse", "ticks", None).iterdir()) == []


def test_threads_of_one_owner_close_days_in_turn(data_root):
    """On a bare root, where the catalogue is made on the way."""
    db = DatabaseManager(data_root, Role.INGESTOR)
    days = [date(2026, 2, 2) + timedelta(days=number) for number in range(4)]
    failures = []

    def close(day: date) -> None:
        try:
            with db.historical_writer("nse", "ticks", None, day) as writer:
                writer.execute(INSERT.replace("2026-02-02", day.isoformat()))
        except Exception as e:  # noqa: BLE001 - whatever it is, the test shows it
            failures.append(e)

    threads = [threading.Thread(target=close, args=(day,)) for day in days]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert [db.layout.day("nse", "ticks", None, day).exists() for day in days] == [True] * 4


def test_role_may_be_spelt_as_it_is_named():
    assert Role("INGESTOR") is Role("ingestor") is Role.INGESTOR
    with pytest.raises(ValueError, match="trader"):
        Role("trader")


def test_broken_catalogue_is_met_before_the_day_is_closed(root):
    (root / "market_data" / "catalogue.db").write_bytes(b"garbage" * 999)
    db = DatabaseManager(root, Role.INGESTOR)
    with pytest.raises(StoreCorrupt, match="catalogue"), db.historical_writer("nse", "ticks", None, date(2026, 2, 2)):
        pass

    assert list(db.layout.series("nse", "ticks", None).iterdir()) == []
