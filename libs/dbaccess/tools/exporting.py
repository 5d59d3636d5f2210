"""Market data of any range as files: closed days, archived days and what the live buffer holds, each day by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb

from libs.core.errors import Refused
from libs.dbaccess.connections import SESSION_ZONE, attach_day, duckdb_memory, naming_disk, parquet_source, quote
from libs.dbaccess.errors import StoreMissing
from libs.dbaccess.files import sync_file
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import closed_days
from libs.dbaccess.live.paths import TABLES
from libs.dbaccess.live.pins import pin_snapshot
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.queries.catalogue import ARCHIVE_FOLDERS
from libs.dbaccess.queries.damage import find_damage

#: How DuckDB writes each; CSV as any tool reads it, with a line of names.
FORMATS = {"parquet": "FORMAT parquet, COMPRESSION zstd", "csv": "FORMAT csv, HEADER"}
#: Called with how many are done, how many there are, and the name of the one just done.
Report = Callable[[int, int, str], None]


class _Day(NamedTuple):
    """One day of one series and where its rows are; `series` is its folder below the market's."""

    series: str
    day: date
    table: str
    hot: Path | None = None
    parts: tuple[Path, ...] = ()
    live_sql: str = ""


def export_market(
    db: DatabaseManager,
    out: Path,
    *,
    first: date = date.min,
    last: date = date.max,
    form: str = "parquet",
    report: Report,
) -> int:
    """Write the days from first to last as `<exchange>/<ticks|candles/timeframe>/<date>.<form>` below a new directory.

    The live buffer's days are written as far as they are; a day in two places comes from history.
    """
    require_root(db.layout)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refused(f"{out}: is there already; give a new or empty directory")
    with ExitStack() as stack:
        connection = stack.enter_context(duckdb_memory())
        connection.execute(f"SET TimeZone = {quote(SESSION_ZONE)}")
        # The live days are pinned before history is listed: a day that is rolled over meanwhile is in one of them.
        found = {(each.series, each.day): each for each in _live_days(db, connection, stack)}
        found |= {(each.series, each.day): each for each in _archived_days(db)}
        found |= {(each.series, each.day): each for each in _hot_days(db)}
        days = sorted(each for each in found.values() if first <= each.day <= last)
        for done, each in enumerate(days, 1):
            target = out / each.series / f"{each.day}.{form}"
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(connection, each, target, form)
            report(done, len(days), f"{each.series} {each.day}")
    return len(days)


def _write(connection: duckdb.DuckDBPyConnection, each: _Day, target: Path, form: str) -> None:
    partial = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        if each.hot:
            attach_day(connection, each.hot, "day")
        source = f"day.{each.table}" if each.hot else parquet_source(each.parts) if each.parts else each.live_sql
        with naming_disk(partial):
            connection.execute(f"COPY (FROM {source}) TO {quote(partial)} ({FORMATS[form]})")
        sync_file(partial)
        partial.rename(target)
    except duckdb.Error as e:
        raise find_damage([each.hot] if each.hot else [], each.parts, each.table, "*") or e from e
    finally:
        if each.hot:
            with suppress(duckdb.Error):  # damage spoils the connection; what was met first is what counts
                connection.execute("DETACH day")
        partial.unlink(missing_ok=True)


def _hot_days(db: DatabaseManager) -> Iterator[_Day]:
    for folder, table in db.layout.all_series():
        series = folder.relative_to(db.layout.market).as_posix()
        for day, path in closed_days(folder):
            yield _Day(series, day, table, hot=db.layout.confined(path))


def _archived_days(db: DatabaseManager) -> Iterator[_Day]:
    for (table, _), name in ARCHIVE_FOLDERS.items():
        for folder in sorted(db.layout.market.glob(f"*/archive/{name}/date=????-??-??")):
            exchange = folder.relative_to(db.layout.market).parts[0]
            if parts := tuple(sorted(folder.glob("*.parquet"))):
                yield _Day(f"{exchange}/{name}", date.fromisoformat(folder.name[5:]), table, parts=parts)


def _live_days(db: DatabaseManager, connection: duckdb.DuckDBPyConnection, stack: ExitStack) -> Iterator[_Day]:
    try:
        snapshot = stack.enter_context(pin_snapshot(db.layout, db.settings.live))
    except StoreMissing:
        return
    exchange = db.settings.data.exchange
    date_of = f"(timestamp AT TIME ZONE '{SESSION_ZONE}')::DATE"
    for table in TABLES:
        connection.execute(f"CREATE VIEW live_{table} AS {snapshot.select(table)}")
        timeframe = "timeframe" if table == "candles" else "NULL"
        rows = connection.execute(f"SELECT DISTINCT {date_of}, {timeframe} FROM live_{table}").fetchall()
        for day, length in rows:
            where = f"{date_of} = DATE '{day}'" + (f" AND timeframe = {quote(length)}" if length else "")
            series = "/".join(filter(None, (exchange, table, length)))
            order = "symbol, timestamp" + (", seq" if table == "ticks" else "")
            sql = f"(SELECT * FROM live_{table} WHERE {where} ORDER BY {order})"
            yield _Day(series, day, table, live_sql=sql)
