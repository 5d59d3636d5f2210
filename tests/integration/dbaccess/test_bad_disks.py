"""A disk that is full, read-only or failing: a clear error that names the path, nothing half made, nothing lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from libs.dbaccess import DatabaseManager, DiskRefused, EODRollover, Role
from libs.dbaccess.layout import Layout
from tests.kit import rollover
from tests.kit.commands import fleet_here
from tests.kit.processes import run_code
from tests.kit.roots import ROOMY, copy_stores, make_stores

DAY = date(2026, 2, 2)


@contextmanager
def small_disk(at: Path, mebibytes: int) -> Iterator[Path]:
    """A file system of its own, if this machine lets us mount one."""
    at.mkdir()
    size = f"size={mebibytes}m,mode=0700"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", at], capture_output=True, check=False).returncode:
        pytest.skip("this account may not mount a tmpfs; the limit on file size below covers a refused write")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=True)


@contextmanager
def filled(disk: Path, room_kib: int) -> Iterator[None]:
    """A disk on which so much is left."""
    ballast = disk / "ballast"
    try:
        with ballast.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(64 * 1024))
        with ballast.open("r+b") as file:
            file.truncate(max(ballast.stat().st_size - room_kib * 1024, 0))
        yield
    finally:
        ballast.unlink()


def ticks(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "symbol": [f"S{number % 50}" for number in range(rows)], "price": rng.random(rows), "volume": 1,
            "timestamp": pd.date_range("2026-02-02 09:15", periods=rows, freq="ms", tz="Asia/Kolkata"),
            "bid": rng.random(rows), "ask": rng.random(rows), "seq": rng.integers(0, 2**60, rows),
        }
    )  # fmt: skip


def test_day_that_does_not_fit_leaves_nothing_and_room_for_the_next(tmp_path):
    with small_disk(tmp_path / "disk", 24) as disk:
        make_stores(disk / "data")
        db = DatabaseManager(disk / "data", Role.INGESTOR)
        with (
            pytest.raises(DiskRefused, match=r"2026-02-02\.duckdb"),
            db.historical_writer("nse", "ticks", None, DAY) as writer,
        ):
            writer.append(ticks(1_000_000))
        assert list(db.layout.series("nse", "ticks", None).iterdir()) == []

        with db.historical_writer("nse", "ticks", None, DAY) as writer:
            writer.append(ticks(1000))
        with db.historical_reader("nse", "ticks", None, DAY) as connection:
            assert connection.execute("SELECT count(*) FROM ticks").fetchall() == [(1000,)]


def test_full_disk_at_init_is_said_and_finished_later(tmp_path):
    with small_disk(tmp_path / "disk", 1) as disk:
        root = disk / "data"
        done = fleet_here("init", TRADEFLEET_DATA=str(root))
        assert done.returncode == 1
        assert "Traceback" not in done.stderr, done.stderr
        assert str(root) in done.stderr
        assert not list(root.rglob("*.new"))

        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert fleet_here("init", TRADEFLEET_DATA=str(root)).returncode == 0
        assert fleet_here("health", TRADEFLEET_DATA=str(root), **ROOMY).returncode == 0


def test_full_disk_rolls_an_order_back_whole(tmp_path):
    """What was committed before stays, the refused transaction leaves nothing, and readers go on."""
    with small_disk(tmp_path / "disk", 24) as disk:
        root = disk / "data"
        make_stores(root)
        db = DatabaseManager(root, Role.EXECUTION_ENGINE)
        with db.trading_writer() as connection:
            connection.execute("CREATE TABLE notes (text TEXT NOT NULL) STRICT")
            connection.execute("INSERT INTO notes VALUES ('before')")
        with pytest.raises(DiskRefused, match=r"trading\.db.*full"), db.trading_writer() as connection:
            connection.execute("INSERT INTO notes VALUES ('x'), (?)", ("y" * 40_000_000,))

        with db.trading_reader() as connection:
            assert connection.execute("SELECT text FROM notes").fetchall() == [("before",)]
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_read_only_disk_is_said_and_still_readable(tmp_path):
    with small_disk(tmp_path / "disk", 64) as disk:
        root = disk / "data"
        make_stores(root)
        with DatabaseManager(root, Role.INGESTOR).historical_writer("nse", "ticks", None, DAY) as writer:
            writer.append(ticks(100))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)

        for role, name in [(Role.EXECUTION_ENGINE, "trading_writer"), (Role.INGESTOR, "live_buffer_writer")]:
            with pytest.raises(OSError, match="Read-only") as refusal, getattr(DatabaseManager(root, role), name)():
                pass
            assert str(root) in str(refusal.value)
        with DatabaseManager(root).historical_reader("nse", "ticks", None, DAY) as connection:
            assert connection.execute("SELECT count(*) FROM ticks").fetchall() == [(100,)]


NAMES = ("config.sql", "rows.csv", "missing/rows.csv")


def test_copies_and_exports_onto_a_full_disk_name_it_and_leave_nothing(tmp_path):
    """Each copy by itself: one that fails keeps none of the others from being tried, and none is half there."""
    root = tmp_path / "data"
    copy_stores(root)
    with small_disk(tmp_path / "disk", 1) as disk, filled(disk, 0):
        copied = fleet_here("backup", "all", "--backup-root", disk / "copies", "--json", TRADEFLEET_DATA=str(root))
        failed = json.loads(copied.stdout)["failed"]
        asked = [
            fleet_here(*words, "--out", disk / name, TRADEFLEET_DATA=str(root))
            for words, name in zip(
                (("db", "export", "config"), ("query", "SELECT range FROM range(200000)"), ("candles", "INFY")),
                NAMES, strict=True,
            )
        ]  # fmt: skip
        left = [path for path in disk.rglob("*") if path.is_file() and path.name != "ballast"]

    assert copied.returncode == 1
    assert list(failed) == ["trading", "config", "market"]
    assert all(str(disk) in why and "refused the write" in why for why in failed.values()), failed
    for name, done in zip(NAMES, asked, strict=True):
        assert (done.returncode, f"{disk}/{name}: " in done.stderr) == (1, True), done.stderr
    assert left == []


def test_a_read_only_disk_can_be_looked_at(tmp_path):
    """Copies kept where nothing can be written are checked, and health says what is wrong and not only that."""
    with small_disk(tmp_path / "disk", 64) as disk:
        root = disk / "data"
        copy_stores(root)
        assert fleet_here("backup", "all", TRADEFLEET_DATA=str(root)).returncode == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        copies = fleet_here("backups", "--verify", "--json", TRADEFLEET_DATA=str(root))
        health = fleet_here("health", "--json", TRADEFLEET_DATA=str(root), **ROOMY)
        live = fleet_here("db", "verify", "live", TRADEFLEET_DATA=str(root))

    assert (copies.returncode, live.returncode) == (0, 0), copies.stderr + live.stderr
    assert {each["state"] for each in json.loads(copies.stdout)["copies"]} == {"whole"}
    wrong = [each for each in json.loads(health.stdout)["findings"] if each["state"] == "error"]
    assert health.returncode == 1
    assert [(each["check"], each["detail"]) for each in wrong] == [("disk", "cannot be written")]


def test_refused_write_leaves_no_half_day(tmp_path):
    """Where nothing can be mounted: the system refuses to let any file grow beyond a limit."""
    root = tmp_path / "data"
    copy_stores(root)
    done = run_code(
        """
        import resource, signal, sys
        from datetime import date
        from libs.dbaccess import DatabaseManager, DiskRefused, EODRollover, Role
        from tests.integration.dbaccess.test_bad_disks import ticks
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        db = DatabaseManager(sys.argv[1], Role.INGESTOR)
        with db.historical_writer("nse", "ticks", None, date(2026, 2, 2)) as day:
            day.append(ticks(200_000))
        """,
        root,
    )

    assert done.returncode == 1
    assert "2026-02-02.duckdb" in done.stderr.strip().splitlines()[-1]
    assert list(Layout(root).series("nse", "ticks", None).iterdir()) == []


@pytest.mark.parametrize("symbol", ["../x", "a'b", "a\0b", "", "a/b", 'a"b'])
def test_hostile_symbol_is_refused_by_name(data_root, symbol):
    from libs.dbaccess import MarketDataQuery, UnsafeName

    copy_stores(data_root)
    query = MarketDataQuery(DatabaseManager(data_root))
    with pytest.raises(UnsafeName, match="symbol"):
        query.get_candles(symbol, "nse", "1m", DAY, date(2026, 2, 3))


def test_rollover_onto_a_full_or_read_only_disk_loses_nothing(tmp_path):
    """C5: refused with a word, every row still there; with room again the same run ends as if nothing had been."""
    with small_disk(tmp_path / "disk", 48) as disk:
        root = disk / "data"
        make_stores(root)
        rollover.fill(root)
        before = rollover.everything(root)
        rolling = EODRollover(rollover.ingestor(root))

        reached = set()
        for room_kib in (0, 400, 800, 1200):  # full before it begins, then in the middle of one step or another
            with filled(disk, room_kib), pytest.raises(DiskRefused):
                rolling.execute(rollover.MONDAY)
            found = rollover.everything(root)
            reached.add(len(found))
            for table in ("ticks", "candles"):
                rows = {row for name, some in found.items() if table in name for row in some}
                assert rows == set(before[f"live {table}"])
                assert found[f"live {table}"] == before[f"live {table}"]
        assert len(reached) >= 3, "it was refused in the same place each time"

        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises((DiskRefused, OSError)):
            rolling.execute(rollover.MONDAY)
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        assert rollover.everything(root) == found

        assert rolling.execute(rollover.MONDAY) is True
        found = rollover.everything(root)
        assert (
            sorted(row for rows in found.values() for row in rows if len(row) == len(before["live ticks"][0]))
            == (before["live ticks"])
        )
        assert rollover.leftovers(root) == []
