"""`python -m bench.imports [million rows]`: `fleet import` of a CSV beside bare DuckDB reading the same file.

First so many million candles, then a third as many ticks, three rounds each.

Bare DuckDB reads the file with the types its sniffer finds into a table of a database file: no check of any row, no
sorting, no day files, nothing verified, no longer bars.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb

from bench.table import Measure, interleaved, print_measures
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
        yield _beside_bare(
            path, "candles", rows, f"{rows / 1e6:.1f} M candles of a CSV into closed days, with 5m, 15m, 1d"
        )
        path.unlink()
        path = Path(folder) / "ticks.csv"
        rows = _generate_ticks(path, max(1, millions // 3))
        yield _beside_bare(
            path, "ticks", rows, f"{rows / 1e6:.1f} M ticks of a CSV into closed days, numbered, with the day's volume"
        )


def _beside_bare(path: Path, what: str, rows: int, title: str, *, rounds: int = 3) -> Measure:
    """Read the file both ways in turn, each time into a new place."""
    places = [path.parent / f"{what}{number}" for number in range(rounds)]
    managers = iter([_data_root(place / "root") for place in places])
    targets = iter([place / "bare.duckdb" for place in places])
    bare_s, ours_s = interleaved(
        lambda: _bare(path, next(targets)), lambda: _import(next(managers), path, what, rows), rounds=rounds
    )
    for place in places:
        shutil.rmtree(place)
    return Measure(title, f"{rows / ours_s / 1e6:.2f} M rows/s", f"bare read {rows / bare_s / 1e6:.2f} M rows/s",
                   bare_s / ours_s, "0.5 of bare", bare_s / ours_s >= 0.5)  # fmt: skip


def _data_root(root: Path) -> DatabaseManager:
    settings = load_settings(environment={"TRADEFLEET_DATA": str(root)})
    root.parent.mkdir()
    init_all(Layout(root), settings=settings, clock=SystemClock())
    return DatabaseManager(root, Role.INGESTOR, settings=settings)


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


def _generate_ticks(path: Path, millions: int) -> int:
    """Four days of 500 symbols, in order of time: last price and quantity and the best prices, to the millisecond."""
    days = Calendar.load("nse").trading_days(date(2026, 2, 2), date(2026, 6, 30))[:4]
    listed = ", ".join(f"DATE '{day}'" for day in days)
    a_day = millions * 250_000
    with duckdb.connect() as connection:
        connection.execute(
            f"""COPY (
                SELECT format('S{{:03d}}', n * 7919 % 500) AS symbol,
                       strftime(day + INTERVAL 555 MINUTE + to_milliseconds(n * 22500000 // {a_day}),
                                '%Y-%m-%d %H:%M:%S.%g') AS timestamp,
                       price AS ltp, n * 13 % 500 AS ltq, price - 0.05 AS bid, price + 0.05 AS ask
                FROM (SELECT unnest([{listed}]) AS day) d, range({a_day}) r(n),
                     LATERAL (SELECT 100 + (n * 31 % 1000) / 20 AS price)
                ORDER BY day, n
            ) TO '{path}' (HEADER)"""
        )
    return len(days) * a_day


def _bare(path: Path, target: Path) -> None:
    with duckdb.connect(str(target)) as connection:
        connection.execute(f"CREATE TABLE rows AS SELECT * FROM read_csv('{path}')")


def _import(db: DatabaseManager, path: Path, what: str, rows: int) -> None:
    request = ImportRequest(what, timeframe="1m" if what == "candles" else None)
    report = import_files(db, [path], request, report=lambda *_: None)
    assert report.rows_taken == rows, report


def main() -> int:
    return 0 if print_measures(measures(int(sys.argv[1]) if len(sys.argv) > 1 else 10)) else 1


if __name__ == "__main__":
    sys.exit(main())
