"""One import from the files to the closed days."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from threading import get_ident

import duckdb

from libs.calendar import Calendar, CalendarError
from libs.core.errors import Refused
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.errors import StoreMissing
from libs.dbaccess.importing.closing import DayCloser
from libs.dbaccess.importing.plan import ImportRequest
from libs.dbaccess.importing.report import DayResult, ImportReport
from libs.dbaccess.importing.scratch import Staged
from libs.dbaccess.importing.staging import Report, staged, staging_folder
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import Layout, exchange_name
from libs.dbaccess.live.manifest import read_manifest
from libs.dbaccess.live.paths import LivePaths
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.owners import refuse_living_owner
from libs.dbaccess.roles import Store, require_owner


def import_files(
    db: DatabaseManager,
    paths: Sequence[Path],
    request: ImportRequest,
    *,
    report: Report,
    origin: str = "import",
) -> ImportReport:
    """Read files of candles or ticks and close every date they hold, each whole or not at all.

    A date that is closed already with the same rows counts as `same`; one with other rows is refused. Killed anywhere,
    the same call goes on where it was. Each file is read back and compared before it is closed.
    `WriterLockHeld` while the ingestor, or another import, runs.
    """
    require_owner(db.role, Store.HISTORY)
    require_root(db.layout)
    db.layout.series(request.exchange, request.data_type, request.timeframe)  # refuses what no series is
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise StoreMissing(missing[0], "expected a CSV or Parquet file")
    refuse_living_owner(db.layout)
    calendar = _calendar(db.layout, exchange_name(request.exchange))
    with (
        WriterLock(staging_folder(db.layout) / ".writer.lock"),
        staged(db.layout, paths, request, db.settings.importing, report) as (connection, rows, found),
    ):
        _refuse_strange(found, db.settings.importing.refused_max_percent)
        closer = DayCloser(db, request, calendar, _open_days(db.layout), rows, origin=origin)
        _close_days(connection, closer, rows, db.settings.importing.days_at_once, found, report)
    return found


def _close_days(
    connection: duckdb.DuckDBPyConnection, closer: DayCloser, staged: Staged, days_at_once: int, found: ImportReport,
    report: Report,
) -> None:  # fmt: skip
    """Close the dates in their order, several at the same time: much of a day's work keeps only one core busy."""
    cursors: dict[int, duckdb.DuckDBPyConnection] = {}

    def close(day: date, rows: int) -> DayResult:
        cursor = cursors.setdefault(get_ident(), connection.cursor())
        return closer.close(cursor, day, rows)

    with ThreadPoolExecutor(days_at_once, thread_name_prefix="import") as pool:
        running = [(day, pool.submit(close, day, rows)) for day, rows in staged.days()]
        try:
            for done, (day, closing) in enumerate(running, 1):
                found.add(closing.result())
                report(done, len(running), f"closing {day}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for cursor in cursors.values():
                cursor.interrupt()
            raise


def _refuse_strange(found: ImportReport, percent_max: int) -> None:
    """Take nothing of a file that cannot be read in large part: a closed day is closed for ever."""
    if found.rows_refused * 100 > percent_max * found.rows_read:
        reasons = "; ".join(
            f"{count} x {reason} ({', '.join(repr(each) for each in found.examples[reason][:1])})"
            for reason, count in sorted(found.refused.items(), key=lambda item: -item[1])
        )
        raise Refused(
            f"{found.rows_refused} of {found.rows_read} rows cannot be taken, more than importing.refused_max_percent "
            f"= {percent_max}; nothing was imported: {reasons}"
        )


def _calendar(layout: Layout, exchange: str) -> Calendar | None:
    try:
        return load_calendar(layout.root, exchange)
    except CalendarError as e:
        if isinstance(e.__cause__, FileNotFoundError):
            return None
        raise


def _open_days(layout: Layout) -> frozenset[date]:
    """Give the dates whose rows are in the live buffer."""
    try:
        return frozenset(read_manifest(LivePaths(layout).manifest).trading_dates)
    except StoreMissing:
        return frozenset()
