"""I2, J7: green on a healthy root, and each planted fault is found, named and rated."""

from __future__ import annotations

import os
import random
import shutil
import signal
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from libs.contracts.health import HealthState
from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager, HealthCheck, Role, WriterLock
from libs.dbaccess.health.market import check_closed_days
from libs.dbaccess.journal import Journal
from libs.dbaccess.layout import Layout
from libs.dbaccess.live.paths import LivePaths
from libs.settings import load_settings
from tests.kit.commands import fleet_here
from tests.kit.processes import first_line, running_code
from tests.kit.roots import ROOMY, copy_of, copy_stores

DAY = date(2026, 2, 2)


def a_day(db: DatabaseManager, rows: int = 3) -> Path:
    times = pd.date_range("2026-02-02 09:15", periods=rows, freq="s", tz="Asia/Kolkata")
    with db.historical_writer("nse", "ticks", None, DAY) as writer:
        writer.append(
            pd.DataFrame(
                {
                    "symbol": [f"SYM{number % 20:02}" for number in range(rows)], "timestamp": times,
                    "price": [100 + number % 97 / 7 for number in range(rows)], "volume": 1, "volume_day": range(rows),
                    "seq": range(rows),
                }
            )
        )  # fmt: skip
    return db.layout.day("nse", "ticks", None, DAY)


def healthy(root: Path) -> None:
    copy_stores(root)
    a_day(DatabaseManager(root, Role.INGESTOR, settings=load_settings(environment=ROOMY)))


@pytest.fixture
def layout(data_root) -> Layout:
    """A healthy root with every store and one closed day."""
    return Layout(copy_of(healthy, data_root))


def check(layout: Layout, *, deep: bool = False, **environment: str) -> HealthCheck:
    found = HealthCheck(layout.root, settings=load_settings(environment=ROOMY | environment))
    found.run_all(deep=deep)
    return found


def worst(found: HealthCheck) -> list[str]:
    return [str(finding) for finding in found.findings if finding.state is not HealthState.GREEN]


@pytest.mark.parametrize("deep", [False, True])
def test_healthy_root_is_green(layout, deep):
    found = check(layout, deep=deep)

    assert worst(found) == []
    assert found.state is HealthState.GREEN


def garble_manifest(at: Layout) -> None:
    with DatabaseManager(at.root, Role.INGESTOR, settings=load_settings(environment=ROOMY)).live_buffer_writer():
        pass
    LivePaths(at).manifest.write_bytes(b"garbage")


def garble_journal(at: Layout) -> None:
    with Journal.open(at.journal, ("ticks",), watermarks={}, settings=load_settings(environment=ROOMY).journal):
        pass
    next(iter(at.journal.glob("*.journal"))).write_bytes(b"garbage")


def swell(path: Path) -> None:
    """A log of one byte more than is allowed, most of it a hole in the file."""
    with path.open("wb") as file:
        file.truncate(256 * 2**20 + 1)


GREEN, WARNING, ERROR = HealthState.GREEN, HealthState.WARNING, HealthState.ERROR
FAULTS = {
    "missing directory": (lambda at: shutil.rmtree(at.backups), "backups", WARNING),
    "missing schema version": (lambda at: at.schema_version.unlink(), ".schema_version", WARNING),
    "garbage schema version": (
        lambda at: at.schema_version.write_bytes(b"\xff\xfe"),
        ".schema_version",
        ERROR,
    ),
    "schema from the future": (
        lambda at: at.schema_version.write_text("9.0.0\n"),
        ".schema_version",
        ERROR,
    ),
    "stale lock": (
        lambda at: at.lock_of("trading").write_text("999999\n"),
        "trading/.writer.lock",
        WARNING,
    ),
    "missing store": (lambda at: at.store_of("config").unlink(), "config.db", WARNING),
    "garbage store": (lambda at: at.store_of("trading").write_bytes(b"garbage" * 999), "trading.db", ERROR),
    "truncated store": (lambda at: halve(at.store_of("signals")), "signals.db", ERROR),
    "directory for a store": (lambda at: to_directory(at.store_of("config")), "config.db", ERROR),
    "open store": (lambda at: at.store_of("config").chmod(0o644), "config.db", WARNING),
    "open directory": (lambda at: (at.root / "trading").chmod(0o755), "trading", WARNING),
    "garbage day": (lambda at: overwrite(at.first_day(), b"garbage" * 999), "2026-02-02.duckdb", ERROR),
    "truncated day": (lambda at: halve(at.first_day()), "2026-02-02.duckdb", ERROR),
    "empty day": (lambda at: overwrite(at.first_day(), b""), "2026-02-02.duckdb", ERROR),
    "directory for a day": (lambda at: to_directory(at.first_day()), "2026-02-02.duckdb", ERROR),
    "writable day": (lambda at: at.first_day().chmod(0o644), "2026-02-02.duckdb", WARNING),
    "link out of the root": (lambda at: link_away(at.first_day()), "2026-02-02.duckdb", ERROR),
    "garbage live file": (lambda at: overwrite(at.live_files()[0], b"garbage" * 999), "ticks_today", ERROR),
    "garbage writable day": (
        lambda at: (at.first_day().chmod(0o644), at.first_day().write_bytes(b"x" * 9000)),
        "2026-02",
        ERROR,
    ),
    "garbage manifest": (garble_manifest, "live_buffer", WARNING),
    "garbage journal": (garble_journal, "journal", ERROR),
    "swollen log": (lambda at: swell(at.store_of("signals").with_name("signals.db-wal")), "signals.db-wal", WARNING),
    "empty store": (lambda at: at.store_of("trading").write_bytes(b""), "trading.db", ERROR),
    "garbage catalogue": (lambda at: at.catalogue.write_bytes(b"garbage" * 999), "catalogue.db", ERROR),
    "garbage ledger": (lambda at: at.ledger.write_bytes(b"garbage" * 999), "ledger.db", ERROR),
    "lost day": (lambda at: at.first_day().unlink(), "2026-02-02.duckdb", ERROR),
    "garbage run": (
        lambda at: (at.runs / "run_20260202_101500_ab12.duckdb").write_bytes(b"x" * 9000),
        "run_2026",
        WARNING,
    ),
    "directory for a lock": (
        lambda at: (at.lock_of("config").unlink(), at.lock_of("config").mkdir(0o700)),
        "config/.writer.lock",
        ERROR,
    ),
    "open series": (lambda at: at.first_day().parent.chmod(0o777), "ticks", WARNING),
    "file for a directory": (lambda at: (at.run.rmdir(), at.run.touch()), "run", ERROR),
}


class Damage(Layout):
    """Short names for what the faults break."""

    def lock_of(self, store: str) -> Path:
        return self.root / store / ".writer.lock"

    def store_of(self, store: str) -> Path:
        return self.root / store / f"{store}.db"

    def first_day(self) -> Path:
        return self.day("nse", "ticks", None, DAY)


def overwrite(path: Path, data: bytes) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(data)
    path.chmod(mode)


def halve(path: Path) -> None:
    overwrite(path, path.read_bytes()[: path.stat().st_size // 2 + 100])


def to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(0o555)


def link_away(path: Path) -> None:
    outside = path.parents[5] / "outside.duckdb"
    path.rename(outside)
    path.symlink_to(outside)


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_found_named_and_rated(layout, fault):
    plant, subject, state = FAULTS[fault]
    plant(Damage(layout.root))
    found = check(layout)

    assert found.state is state, worst(found)
    named = [finding for finding in found.findings if finding.state is state and subject in finding.subject]
    assert named, worst(found)
    assert all(finding.advice for finding in named)


def test_missing_root_is_an_error_that_says_what_to_do(tmp_path):
    found = check(Layout(tmp_path / "nowhere"))

    assert found.state is HealthState.ERROR
    assert "fleet init" in found.findings[0].advice


@pytest.mark.parametrize(
    ("error", "warning", "state"), [(10**6, 10**6, "error"), (0, 10**6, "warning"), (0, 0, "green")]
)
def test_disk_space_has_two_thresholds(layout, error, warning, state):
    found = check(
        layout,
        TRADEFLEET_HEALTH_DISK_FREE_ERROR_GIB=str(error),
        TRADEFLEET_HEALTH_DISK_FREE_WARNING_GIB=str(warning),
    )

    assert found.state == state


def test_store_in_use_by_its_living_owner_is_no_fault(layout):
    """I2: the live buffer is checked through its snapshot while the ingestor holds it."""
    owner = """
        import sys
        from libs.dbaccess import DatabaseManager, Role
        with DatabaseManager(sys.argv[1], Role.INGESTOR).live_buffer_writer() as live:
            live.flush()
            print("in", flush=True)
            for line in sys.stdin:
                live.flush()
                print("flushed", flush=True)
    """
    with running_code(owner, layout.root) as process:
        first_line(process)
        process.stdin.write("again\n")
        process.stdin.flush()
        first_line(process)
        found = check(layout, deep=True, TRADEFLEET_LIVE_FLUSH_INTERVAL_MS="60000")

    assert worst(found) == []
    assert any("in use; snapshot" in finding.detail for finding in found.findings)


def test_old_snapshot_of_a_living_owner_is_a_warning(layout):
    lock = WriterLock(layout.live / ".writer.lock")
    settings = load_settings(environment=ROOMY | {"TRADEFLEET_LIVE_FLUSH_INTERVAL_MS": "10"})

    class Later(SystemClock):
        def now_us(self) -> int:
            return super().now_us() + 10**9

    with lock:
        found = HealthCheck(layout.root, settings=settings, clock=Later())
        found.run_all()

    assert found.state is HealthState.WARNING
    assert any("ms old, more than 2 x 10" in finding.detail for finding in found.findings)


def test_killed_owner_leaves_a_warning_not_an_error(layout):
    hold = """
        import sys
        from libs.dbaccess import WriterLock
        lock = WriterLock(sys.argv[1])
        assert lock.acquire()
        print("held", flush=True)
        sys.stdin.read()
    """
    with running_code(hold, layout.root / "trading" / ".writer.lock") as process:
        first_line(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = check(layout)

    assert found.state is HealthState.WARNING
    assert any(f"names process {process.pid}" in finding.detail for finding in found.findings)


def test_deep_check_leaves_no_flipped_byte_unseen(layout):
    """Of 30 single flipped bytes each is either reported or harmless: every value still reads as it was."""
    path = layout.day("nse", "ticks", None, DAY)
    path.unlink()
    db = DatabaseManager(layout.root, Role.INGESTOR)
    a_day(db, rows=20_000)
    sound = path.read_bytes()
    rows = all_rows(db)
    rng = random.Random(60)
    reported = 0
    for _ in range(30):
        damaged = bytearray(sound)
        damaged[rng.randrange(len(sound))] ^= 1 << rng.randrange(8)
        overwrite(path, bytes(damaged))
        # Of the whole check only the part that reads closed days: thirty whole ones take a quarter of one.
        findings = check_closed_days(layout, load_settings(environment=ROOMY).sqlite, deep=True)
        if any(finding.state is HealthState.ERROR for finding in findings):
            reported += 1
        else:
            assert all_rows(db).equals(rows)

    assert reported > 0


def all_rows(db: DatabaseManager) -> pa.Table:
    with db.historical_reader("nse", "ticks", None, DAY) as connection:
        return connection.execute(
            "SELECT symbol, epoch_us(timestamp), * EXCLUDE (symbol, timestamp) FROM ticks"
        ).to_arrow_table()


@pytest.mark.parametrize(
    ("fault", "code"),
    [(None, 0), ("stale lock", 0), ("missing directory", 0), ("garbage store", 1), ("truncated day", 1)],
)
def test_command_exits_by_the_worst_it_found(layout, fault, code):
    if fault:
        FAULTS[fault][0](Damage(layout.root))
    done = fleet_here("health", "--json", TRADEFLEET_DATA=str(layout.root), **ROOMY)

    assert done.returncode == code, done.stdout + done.stderr
    assert '"findings"' in done.stdout
