"""`BackupManager`: copy the trading and config stores beside their owners, and the closed days of market data."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

from libs.core.clock import IST, Clock, SystemClock, to_datetime
from libs.dbaccess.backup.market import copy_market
from libs.dbaccess.backup.names import named_time
from libs.dbaccess.backup.place import place
from libs.dbaccess.connections import backup_sqlite, naming_disk, sqlite_reader
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.files import make_directory
from libs.dbaccess.layout import Layout
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
        self._copy_sqlite(self.layout.store(Store.TRADING), target)
        self._prune("trading/*/trading_*.db", timedelta(hours=self.settings.backup.trading_keep_hours))
        return target

    def backup_config_db(self) -> Path:
        """Copy the config store to `config/config_<YYYYMMDD>.db`, replacing an earlier copy of the same day."""
        target = self.root / "config" / f"config_{self._now():%Y%m%d}.db"
        self._copy_sqlite(self.layout.store(Store.CONFIG), target)
        self._prune("config/config_*.db", timedelta(days=self.settings.backup.config_keep_days))
        return target

    def backup_market_data(self, day: date | None = None) -> Path:
        """Copy every closed and archived day not later than `day` to `market_data/<YYYYMMDD>/`.

        A day that an earlier copy holds with the bytes the catalogue recorded is linked from there and takes no more
        room. A day that cannot be copied whole does not keep the others from being copied; `StoreCorrupt` names it
        at the end.
        """
        day = day or self._now().date()
        target = self.root / "market_data" / f"{day:%Y%m%d}"
        if not self.layout.market.is_dir():
            raise StoreMissing(self.layout.market, "run `fleet init`")
        with naming_disk(target):
            make_directory(target, self.root.parent)
            for path in (self.layout.catalogue, self.layout.ledger):
                if path.exists():
                    self._copy_sqlite(path, target / path.name)
            copy_market(self.layout, target, day, settings=self.settings.sqlite, clock=self.clock)
        self._prune_market(target)
        return target

    def copy_for_deployment(self, store: Store, go_on: Callable[..., None] | None = None) -> Path:
        """Copy trading or config under a name with the time, which no later copy replaces; nothing is pruned."""
        now = self._now()
        folder = self.root / store.value / (f"{now:%Y%m%d}" if store is Store.TRADING else "")
        target = folder / f"{store.value}_{now:%Y%m%d_%H%M%S_%f}.db"
        self._copy_sqlite(self.layout.store(store), target, go_on)
        return target

    def _copy_sqlite(self, path: Path, target: Path, go_on: Callable[..., None] | None = None) -> None:
        """Copy page by page while the owner writes, and check the copy's integrity before it gets its name."""
        if not path.exists():
            raise StoreMissing(path, "run `fleet init`")

        def copy(partial: Path) -> None:
            with sqlite_reader(path, self.settings.sqlite) as source:
                try:
                    backup_sqlite(source, partial, go_on)
                except sqlite3.OperationalError:
                    raise
                except sqlite3.DatabaseError as e:
                    raise StoreCorrupt(f"{path}: cannot be copied, it is damaged: {e}") from e

        with naming_disk(target):
            make_directory(target.parent, self.root.parent)
            place(target, copy)

    def _prune(self, pattern: str, age: timedelta) -> None:
        """Remove copies older than the age, never the newest one."""
        oldest_kept = self._now() - age
        for left in self.root.rglob(".*.partial"):  # by a killed copy
            if left.stat().st_mtime < oldest_kept.timestamp():
                left.unlink()
        copies = sorted((made, path) for path in self.root.glob(pattern) if (made := named_time(path)))
        for made, path in copies[:-1]:
            if made < oldest_kept:
                path.unlink()
                if not any(path.parent.iterdir()):
                    path.parent.rmdir()

    def _prune_market(self, made: Path) -> None:
        """Remove copies older than the newest by more than the weeks to keep, never the one just made."""
        folders = sorted((day, path) for path in made.parent.glob("[0-9]" * 8) if (day := named_time(path)))
        oldest_kept = folders[-1][0] - timedelta(weeks=self.settings.backup.market_keep_weeks)
        for day, folder in folders:
            if folder != made and day <= oldest_kept:
                shutil.rmtree(folder)

    def _now(self) -> datetime:
        return to_datetime(self.clock.now_us()).astimezone(IST)
