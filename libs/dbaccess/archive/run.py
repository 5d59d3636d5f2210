"""Which days are old enough, and one after the other to the archive."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import msgspec

from libs.core.clock import trading_date
from libs.dbaccess import catalogue
from libs.dbaccess.archive.day import remove_hot, write_archived, write_parquet
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import closed_days
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.queries.catalogue import ARCHIVE_FOLDERS
from libs.dbaccess.roles import Store, require_owner

#: Called with how many are done, how many there are, and the name of the one just done.
Report = Callable[[int, int, str], None]


class ArchivedDay(msgspec.Struct, frozen=True):
    """One day of the run; of a dry run `bytes_after` is an estimate. `problem` says why it stayed hot."""

    series: str
    day: str
    bytes_before: int
    bytes_after: int
    problem: str = ""


class ArchiveReport(msgspec.Struct, frozen=True):
    """What went to the archive, or would."""

    dry_run: bool
    days: list[ArchivedDay]

    @property
    def bytes_freed(self) -> int:
        """How much less room the days take."""
        return sum(day.bytes_before - day.bytes_after for day in self.days if not day.problem)


class _Due(msgspec.Struct, frozen=True):
    hot: Path
    folder: Path
    table: str
    day: date
    series: str


def archive_days(db: DatabaseManager, *, report: Report, dry_run: bool = False) -> ArchiveReport:
    """Move every closed day past its limit to compressed Parquet; the limits are settings of [archive].

    A day that cannot be verified stays hot, is named in the report, and does not keep the others. For the history's
    owner; the lock is taken day by day, so that a rollover never waits for long.
    """
    require_owner(db.role, Store.HISTORY)
    require_root(db.layout)
    due = list(_due(db))
    if dry_run:
        return ArchiveReport(dry_run=True, days=list(_estimated(due, db)))
    days = []
    for done, each in enumerate(due, 1):
        before = each.hot.stat().st_size
        try:
            with db.history_lock():
                write_archived(each.hot, each.folder, each.table, db.settings.archive, db.layout.root)
                catalogue.mark_archived(db.layout, each.hot, each.folder, clock=db.clock, settings=db.settings.sqlite)
                remove_hot(each.hot)
        except StoreCorrupt as e:
            days.append(ArchivedDay(each.series, each.day.isoformat(), before, before, str(e)))
        else:
            days.append(ArchivedDay(each.series, each.day.isoformat(), before, _size(each.folder)))
        report(done, len(due), f"{each.series} {each.day}")
    return ArchiveReport(dry_run=False, days=days)


def _due(db: DatabaseManager) -> Iterator[_Due]:
    """Name the hot days past their limit, oldest first within a series."""
    today = trading_date(db.clock.now_us())
    keep = {"ticks": db.settings.archive.ticks_hot_days, "candles": db.settings.archive.minutes_hot_days}
    folders = {name: data_type for (data_type, _), name in ARCHIVE_FOLDERS.items()}
    for folder, table in db.layout.all_series():
        exchange, *series = folder.relative_to(db.layout.market).parts
        name = "/".join(series)
        if name not in folders:
            continue
        oldest_kept = today - timedelta(days=keep[table])
        archive = db.layout.market / exchange / "archive" / name
        for day, path in closed_days(folder):
            if day < oldest_kept:
                yield _Due(db.layout.confined(path), archive / f"date={day}", table, day, f"{exchange}/{name}")


def _estimated(due: list[_Due], db: DatabaseManager) -> Iterator[ArchivedDay]:
    """Pack one day of each series into a scratch file to learn how small it gets."""
    shares: dict[str, float] = {}
    for each in due:
        before = each.hot.stat().st_size
        if each.series not in shares:
            with tempfile.TemporaryDirectory(prefix="fleet-archive-") as scratch:
                part = Path(scratch) / "part.parquet"
                try:
                    write_parquet(each.hot, part, each.table, db.settings.archive)
                except StoreCorrupt as e:
                    yield ArchivedDay(each.series, each.day.isoformat(), before, before, str(e))
                    continue
                shares[each.series] = part.stat().st_size / max(before, 1)
        yield ArchivedDay(each.series, each.day.isoformat(), before, round(before * shares[each.series]))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.parquet"))
