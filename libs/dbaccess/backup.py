"""Copies of the stores: made beside a living owner, checked before they count, pruned by age."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from libs.core.clock import IST, Clock, SystemClock, to_datetime
from libs.core.faults import crash_point
from libs.dbaccess.catalogue import checksum
from libs.dbaccess.connections import backup_sqlite, sqlite_reader
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.files import PRIVATE_FILE, is_closed, make_directory, sync_directory, sync_file
from libs.dbaccess.layout import Layout, closed_days
from libs.dbaccess.roles import Store
from libs.settings import Settings, load_settings


class BackupManager:
    """Back up one data root below one backup root. Reads the stores, writes the backups, locks nobody out."""

    def __init__(
        self,
        data_root: Path | str,
        backup_root: Path | str | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.layout = Layout(data_root)
        self.root = Path(backup_root) if backup_root else self.layout.backups
        self.settings = settings or load_settings()
        self.clock = clock or SystemClock()

    def backup_trading_db(self) -> Path:
        """Copy the trading store to `trading/<YYYYMMDD>/trading_<timestamp>.db`; old hours are pruned after."""
        now = self._now()
        target = self.root / "trading" / f"{now:%Y%m%d}" / f"trading_{now:%Y%m%d_%H%M%S_%f}.db"
        self._copy_sqlite(Store.TRADING, target)
        self._prune("trading/*/trading_*.db", timedelta(hours=self.settings.backup.trading_keep_hours))
        return target

    def backup_config_db(self) -> Path:
        """Copy the config store to `config/config_<YYYYMMDD>.db`, replacing an earlier copy of the same day."""
        target = self.root / "config" / f"config_{self._now():%Y%m%d}.db"
        self._copy_sqlite(Store.CONFIG, target)
        self._prune("config/config_*.db", timedelta(days=self.settings.backup.config_keep_days))
        return target

    def backup_market_data(self, day: date | None = None) -> Path:
        """Copy every closed day not later than `day` to `market_data/<YYYYMMDD>/`.

        A file that an earlier copy already holds with the same bytes is linked from there, so that an unchanged day
        takes no more room.
        """
        day = day or self._now().date()
        target = self.root / "market_data" / f"{day:%Y%m%d}"
        if not self.layout.market.is_dir():
            raise StoreMissing(self.layout.market, "run `fleet init`")
        earlier = [folder for folder in sorted(target.parent.glob("????????")) if folder != target]
        for folder, _ in self.layout.all_series():
            for file_day, path in closed_days(folder):
                if file_day <= day and is_closed(path):
                    relative = path.relative_to(self.layout.market)
                    self._copy_day(path, target / relative, [each / relative for each in reversed(earlier)])
        make_directory(target, self.root.parent)
        if self.layout.schema_version.exists():
            self._copy_checked(self.layout.schema_version, target / self.layout.schema_version.name)
        self._prune_market(target)
        return target

    def _copy_sqlite(self, store: Store, target: Path) -> None:
        if not self.layout.store(store).exists():
            raise StoreMissing(self.layout.store(store), "run `fleet init`")
        make_directory(target.parent, self.root.parent)

        def copy(partial: Path) -> None:
            with sqlite_reader(self.layout.store(store), self.settings.sqlite) as source:
                backup_sqlite(source, partial)

        _place(target, copy)

    def _copy_day(self, path: Path, target: Path, earlier: list[Path]) -> None:
        if target.exists() and checksum(target) == checksum(path):
            return
        make_directory(target.parent, self.root.parent)
        same = (each for each in earlier if _same_size(each, path) and checksum(each) == checksum(path))
        if copied := next(same, None):
            _place(target, lambda partial: partial.hardlink_to(copied))
        else:
            self._copy_checked(path, target)

    def _copy_checked(self, path: Path, target: Path) -> None:
        def copy(partial: Path) -> None:
            shutil.copy2(path, partial)
            if checksum(partial) != checksum(path):
                raise StoreCorrupt(f"{target}: the copy differs from {path}; the disk does not keep what it is given")

        _place(target, copy)

    def _prune(self, pattern: str, age: timedelta) -> None:
        """Remove copies older than the age, never the newest one."""
        oldest_kept = (self._now() - age).timestamp()
        for left in self.root.rglob(".*.partial"):  # by a killed copy
            if left.stat().st_mtime < oldest_kept:
                left.unlink()
        copies = sorted(self.root.glob(pattern), key=lambda path: path.stat().st_mtime)
        for path in copies[:-1]:
            if path.stat().st_mtime < oldest_kept:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()

    def _prune_market(self, made: Path) -> None:
        """Remove copies older than the newest by more than the weeks to keep, never the one just made."""
        folders = sorted(made.parent.glob("????????"))
        newest = datetime.strptime(folders[-1].name, "%Y%m%d").replace(tzinfo=IST)
        oldest_kept = newest - timedelta(weeks=self.settings.backup.market_keep_weeks)
        for folder in folders:
            if folder != made and datetime.strptime(folder.name, "%Y%m%d").replace(tzinfo=IST) <= oldest_kept:
                shutil.rmtree(folder)

    def _now(self) -> datetime:
        return to_datetime(self.clock.now_us()).astimezone(IST)


def _place(target: Path, make: Callable[[Path], None]) -> None:
    """Give a finished copy its name; what is half done never has it."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        make(partial)
        if not is_closed(partial):
            partial.chmod(PRIVATE_FILE)
        sync_file(partial)
        crash_point("backup.rename.before")
        partial.replace(target)
        sync_directory(target.parent)
        crash_point("backup.rename.after")
    finally:
        partial.unlink(missing_ok=True)


def _same_size(one: Path, other: Path) -> bool:
    return one.exists() and one.stat().st_size == other.stat().st_size
