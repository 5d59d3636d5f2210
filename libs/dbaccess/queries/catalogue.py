"""Which closed days there are, as DuckDB files and as archived Parquet; a folder is listed again when it changed."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from libs.core.clock import Clock
from libs.dbaccess.errors import StoreCorrupt, UnsafeName
from libs.dbaccess.layout import Layout, closed_days, exchange_name

#: A folder changed this recently may change again without its time of change moving (the system stamps in ticks of
#: milliseconds), so such a listing is used once and not kept.
_SETTLED_AFTER_NS = 2_000_000_000

#: What gets archived, by data type and timeframe: its folder below data/market_data/<exchange>/archive/. In it stands
#: one folder `date=YYYY-MM-DD` a day, with any number of Parquet files.
ARCHIVE_FOLDERS = {("ticks", None): "ticks", ("candles", "1m"): "candles/1m"}


@dataclass(frozen=True)
class StoredFile:
    """A file of closed market data, with what tells it from another file of the same name."""

    path: Path
    stamp: tuple[int, int, int]


@dataclass(frozen=True)
class _Listing:
    changed_ns: int
    settled: bool
    content: Any


class Catalogue:
    """The closed days of every series, read from the folders themselves."""

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._layout = layout
        self._clock = clock
        self._listings: dict[Path, _Listing] = {}

    def hot(
        self, exchange: str, data_type: str, timeframe: str | None, first: date, last: date
    ) -> dict[date, StoredFile]:
        """Give the DuckDB file of each closed day from first to last, in order of date."""
        series = self._layout.series(exchange, data_type, timeframe)
        days: dict[date, StoredFile] = self._listed(series, self._hot) or {}
        return {day: file for day, file in days.items() if first <= day <= last}

    def archived(
        self, exchange: str, data_type: str, timeframe: str | None, first: date, last: date
    ) -> dict[date, tuple[StoredFile, ...]]:
        """Give the Parquet files of each archived day from first to last, in order of date."""
        folder = ARCHIVE_FOLDERS.get((data_type, timeframe))
        if folder is None:
            return {}
        top = self._layout.market / exchange_name(exchange) / "archive" / folder
        days: dict[date, Path] = self._listed(top, _archived_days) or {}
        parts = {day: self._listed(path, self._parquet) for day, path in days.items() if first <= day <= last}
        return {day: files for day, files in parts.items() if files}

    def exchanges(self) -> list[str]:
        """Name the exchanges that have a folder; a folder that could be no exchange's is not looked into."""
        market = self._layout.market
        folders = [entry.name for entry in market.iterdir() if entry.is_dir()] if market.is_dir() else []
        return sorted(name for name in folders if is_exchange(name))

    def forget(self) -> None:
        """List every folder anew, after a file turned out to be gone."""
        self._listings.clear()

    def _listed(self, folder: Path, read: Callable[[Path], Any]) -> Any:
        """Read a folder unless what was read of it still stands; None when it is not there."""
        try:
            changed_ns = folder.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        known = self._listings.get(folder)
        if known and known.settled and known.changed_ns == changed_ns:
            return known.content
        settled = self._clock.now_us() * 1000 - changed_ns > _SETTLED_AFTER_NS
        try:
            content = read(self._layout.confined(folder))
        except NotADirectoryError as e:
            raise StoreCorrupt(f"{folder}: expected a folder of market data, found a file") from e
        self._listings[folder] = _Listing(changed_ns, settled, content)
        return content

    def _hot(self, folder: Path) -> dict[date, StoredFile]:
        return {day: self._stored(path) for day, path in closed_days(folder)}

    def _parquet(self, folder: Path) -> tuple[StoredFile, ...]:
        return tuple(self._stored(path) for path in sorted(folder.iterdir()) if _is_part(path))

    def _stored(self, path: Path) -> StoredFile:
        """Tell a file by what does not change while it stays the same. Its folder was found to be inside the root."""
        try:
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                found = self._layout.confined(path).stat()
        except FileNotFoundError:
            return StoredFile(path, (0, 0, 0))  # gone since it was listed, or a dangling link: opening it will tell
        return StoredFile(path, (found.st_ino, found.st_mtime_ns, found.st_size))


def archived_parts(layout: Layout, exchange: str, data_type: str, timeframe: str | None, day: date) -> list[Path]:
    """List the Parquet files of one archived date; none when it is not archived."""
    folder = ARCHIVE_FOLDERS.get((data_type, timeframe))
    if folder is None:
        return []
    top = layout.market / exchange / "archive" / folder / f"date={day}"
    return [path for path in sorted(top.glob("*.parquet")) if _is_part(path)]


def is_exchange(name: str) -> bool:
    """Whether a folder's name is an exchange's."""
    try:
        return exchange_name(name) == name
    except UnsafeName:
        return False


def _archived_days(folder: Path) -> dict[date, Path]:
    days = {}
    for path in sorted(folder.glob("date=????-??-??")):
        try:
            days[date.fromisoformat(path.name.removeprefix("date="))] = path
        except ValueError:
            continue
    return days


def _is_part(path: Path) -> bool:
    """Whether a name is a finished Parquet file's, and not one still being written."""
    return path.suffix == ".parquet" and not path.name.startswith((".", "_"))
