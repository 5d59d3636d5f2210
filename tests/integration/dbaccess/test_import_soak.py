"""Issue 4: ten million rows in bounded memory, with a bar that shows how far it is, whoever stops it when."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import psutil
import pytest

from libs.calendar import Calendar
from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager
from libs.dbaccess.queries import sql_door
from tests.kit.paths import PROJECT
from tests.kit.roots import copy_stores

SYMBOLS, MINUTES, DAYS = 2000, 375, 14
#: What the engine may take, and what Python, the libraries and a day's figures take on top.
LIMIT_MIB, OVERHEAD_MIB = 512, 512


def generate(path: Path) -> int:
    """Whole days of many symbols, sorted by time as a vendor writes them."""
    days = Calendar.load("nse").trading_days(date(2026, 2, 2), date(2026, 4, 30))[:DAYS]
    listed = ", ".join(f"DATE '{day}'" for day in days)
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (SELECT format('S{{:04d}}', s) AS symbol,
                             strftime(day + INTERVAL 555 MINUTE + INTERVAL (m) MINUTE, '%Y-%m-%d %H:%M:%S') AS date,
                             price AS open, price + 0.5 AS high, price - 0.5 AS low, price + 0.25 AS close,
                             (s * 7 + m * 13) % 10000 AS volume
                      FROM (SELECT unnest([{listed}]) AS day) d, range({MINUTES}) r(m), range({SYMBOLS}) t(s),
                           LATERAL (SELECT 100 + ((s * 31 + m * 17) % 1000) / 20 AS price)
                      ORDER BY day, m, s) TO '{path}' (HEADER)"""
        )
    return len(days) * SYMBOLS * MINUTES


class Import:
    """`fleet import` on a terminal of its own."""

    def __init__(self, root: Path, path: Path) -> None:
        self.screen = b""
        self.peak_bytes = 0
        self._terminal, screen = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli", "import", "candles", str(path), "--data-root", str(root)], cwd=PROJECT,
            env=os.environ | {"TRADEFLEET_IMPORTING_MEMORY_MAX_MIB": str(LIMIT_MIB)}, stdout=screen, stderr=screen,
        )  # fmt: skip
        os.close(screen)

    def watch(self, until: bytes = b"") -> int | None:
        """Follow the screen and the memory until a text is there or the process ends; give its exit code."""
        found = psutil.Process(self.process.pid)
        end_ns = SystemClock().monotonic_ns() + 1500 * 1_000_000_000
        while SystemClock().monotonic_ns() < end_ns:
            try:
                self.peak_bytes = max(self.peak_bytes, found.memory_info().rss)
                data = os.read(self._terminal, 65_536)
            except (OSError, psutil.NoSuchProcess):  # the terminal is gone with its last writer
                return self.process.wait(60)
            self.screen += data
            if until and until in self.screen:
                return None
        raise AssertionError(f"{until!r} did not come: {self.screen[-500:]!r}")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_ten_million_rows_in_bounded_memory(data_root, tmp_path):
    """Stopped by Ctrl-C while it reads and killed while it closes days, it ends as if nobody had."""
    copy_stores(data_root)
    rows = generate(tmp_path / "candles.csv")
    assert rows > 10_000_000
    runs = []
    try:
        for until, number, expected in (
            (b"reading", signal.SIGINT, 130), (b"closing 2026-02-04", signal.SIGKILL, -9), (b"", 0, 0)
        ):  # fmt: skip
            runs.append(Import(data_root, tmp_path / "candles.csv"))
            code = runs[-1].watch(until)
            if until:
                runs[-1].process.send_signal(number)
                code = runs[-1].watch()
            assert code == expected, runs[-1].screen[-2000:]
        assert b"the same command goes on" in runs[0].screen
        assert b"reading" not in runs[2].screen  # what was read is not read again
        assert b"[####" in runs[2].screen
        peak_mib = max(run.peak_bytes for run in runs) / 1048576
        print(f"peak {peak_mib:.0f} MiB for {rows:,} rows")  # noqa: T201
        assert peak_mib < LIMIT_MIB + OVERHEAD_MIB
    finally:
        for run in runs:
            run.close()

    counted = {}
    for timeframe in ("1m", "1d"):
        select = (
            "SELECT count(*) AS rows, count(DISTINCT (symbol, timestamp)) AS different FROM candles"
            f" WHERE timeframe = '{timeframe}'"
        )
        with sql_door(DatabaseManager(data_root), select) as opened:
            counted[timeframe] = [tuple(row.values()) for batch in opened.batches for row in batch.to_pylist()]
    assert counted == {"1m": [(rows, rows)], "1d": [(DAYS * SYMBOLS, DAYS * SYMBOLS)]}
    assert not list((data_root / "market_data" / ".importing").glob("*.duckdb*"))
