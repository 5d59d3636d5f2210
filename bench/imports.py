"""`python -m bench.imports [million rows]`: `fleet import` of one CSV beside bare DuckDB reading the same file.

Bare DuckDB reads the file with the types its sniffer finds into a table of a database file: no check of any row, no
sorting, no day files, nothing verified, no longer bars.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb

from bench.table import Measure, print_measures, timed
from libs.calendar import Calendar
from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.importing import ImportRequest, import_files
from libs.dbaccess.init import init_all
from libs.dbaccess.layout import Layout
from libs.settings import load_settings

BARS_A_DAY = 375
SYMBOLS = 2000


def measures(millions: int = 3) -> Iterator[Measure]:
    with tempfile.TemporaryDirectory(prefix="bench-imports-") as folder:
        path = Path(folder) / "candles.csv"
        rows = _generate(path, millions)
        bare_s = min(timed(lambda n=n: _bare(path, Path(folder) / f"bare{n}.duckdb")) for n in range(2))
        root = Path(folder) / "data"
        settings = load_settings(environment={"TRADEFLEET_DATA": str(root)})
        init_all(Layout(root), settings=settings, clock=SystemClock())
        db = DatabaseManager(root, Role.INGESTOR, settings=settings)
        ours_s = timed(lambda: _import(db, path, rows))
        yield Measure(f"{rows / 1e6:.1f} M candles of a CSV into closed days, with 5m, 15m, 1d",
                      f"{rows / ours_s / 1e6:.2f} M rows/s", f"bare read {rows / bare_s / 1e6:.2f} M rows/s",
                      bare_s / ours_s, "0.5 of bare", bare_s / ours_s >= 0.5)  # fmt: skip


def _generate(path: Path, millions: int) -> int:
    """Whole days of 2,000 symbols, sorted by time as a vendor writes them."""
    days = max(1, millions * 1_000_000 // (SYMBOLS * BARS_A_DAY))
    calendar = Calendar.load("nse")
    dates = calendar.trading_days(date(2026, 2, 2), date(2026, 6, 30))[:days]
    listed = ", ".join(f"DATE '{day}'" for day in dates)
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (
                SELECT format('S{{:04d}}', s) AS symbol,
                       strftime(day + INTERVAL 555 MINUTE + INTERVAL (m) MINUTE, '%Y-%m-%d %H:%M:%S') AS date,
                       price AS open, price + 0.5 AS high, price - 0.5 AS low, price + 0.25 AS close,
                       (s * 7 + m * 13) % 10000 AS volume
                FROM (SELECT unnest([{listed}]) AS day) d, range({BARS_A_DAY}) r(m), range({SYMBOLS}) t(s),
                     LATERAL (SELECT 100 + ((s * 31 + m * 17) % 1000) / 20 AS price)
                ORDER BY day, m, s
            ) TO '{path}' (HEADER)"""
        )
    return len(dates) * SYMBOLS * BARS_A_DAY


def _bare(path: Path, target: Path) -> None:
    with duckdb.connect(str(target)) as connection:
        connection.execute(f"CREATE TABLE candles AS SELECT * FROM read_csv('{path}')")


def _import(db: DatabaseManager, path: Path, rows: int) -> None:
    report = import_files(db, [path], ImportRequest("candles"), report=lambda *_: None)
    assert report.rows_taken == rows, report


def main() -> int:
    return 0 if print_measures(measures(int(sys.argv[1]) if len(sys.argv) > 1 else 10)) else 1


if __name__ == "__main__":
    sys.exit(main())
