"""Putting another file in a store's place, and keeping what was there."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from libs.core.faults import crash_point
from libs.dbaccess.connections import sqlite_writer
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import PRIVATE_FILE, sync_directory, sync_file
from libs.settings.storage import Sqlite


def replace_sqlite(path: Path, staged: Path, *, now: datetime, settings: Sqlite) -> Path | None:
    """Give a checked, closed file the store's name; gives where the replaced store is kept, None if there was none.

    The caller holds the store's writer lock. Killed between the two renames, the store is missing and both files are
    there under names that say what they are.
    """
    staged.chmod(PRIVATE_FILE)
    sync_file(staged)
    kept = _set_aside(path, now, settings)
    crash_point("replace.rename.before")
    staged.rename(path)
    sync_directory(path.parent)
    crash_point("replace.rename.after")
    return kept


def _set_aside(path: Path, now: datetime, settings: Sqlite) -> Path | None:
    if not path.exists():
        return None
    # A broken store is kept as broken as it was, its write-ahead log beside it.
    with suppress(StoreCorrupt), sqlite_writer(path, settings, durable=False) as old:
        old.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the kept file is whole by itself
    kept = path.with_name(f"{path.name}.replaced-{now:%Y%m%d-%H%M%S-%f}")
    for suffix in ("-wal", "-shm"):
        leftover = path.with_name(path.name + suffix)
        if leftover.exists():
            leftover.rename(kept.with_name(kept.name + suffix))
    path.rename(kept)
    return kept
