"""Putting another file in a store's place, and keeping what was there."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from libs.core.errors import RetryLater
from libs.core.faults import crash_point
from libs.dbaccess.connections import sqlite_writer
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import PRIVATE_FILE, sync_directory, sync_file
from libs.settings.storage import Sqlite


def replace_sqlite(path: Path, staged: Path, *, now: datetime, settings: Sqlite) -> Path | None:
    """Give a checked, closed file the store's name; gives where the replaced store is kept, None if there was none.

    The caller holds the store's writer lock. The name is never absent: killed anywhere, it is the old store or the new.
    """
    staged.chmod(PRIVATE_FILE)
    sync_file(staged)
    kept = _keep(path, now, settings)
    crash_point("replace.rename.before")
    staged.replace(path)
    sync_directory(path.parent)
    crash_point("replace.rename.after")
    return kept


def _keep(path: Path, now: datetime, settings: Sqlite) -> Path | None:
    """Give the store a second name under which it stays."""
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.replaced-{now:%Y%m%d-%H%M%S-%f}")
    # A broken store is kept as broken as it was, its write-ahead log beside it.
    with suppress(StoreCorrupt), sqlite_writer(path, settings, durable=False) as old:
        busy, _, _ = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise RetryLater(f"{path}: a reader is in the way of folding the write-ahead log in; try again")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.link(part, kept.with_name(kept.name + suffix))
    for suffix in ("-wal", "-shm"):  # they belong to the old file only; nothing is in them after the checkpoint
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return kept
