"""Directories, permissions, locks and disk space."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from libs.dbaccess.health.finding import Finding, error, green, warning
from libs.dbaccess.layout import SQLITE_STORES, Layout
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.roles import Store
from libs.settings.storage import Health

_GIB = 2**30


def check_directories(layout: Layout) -> Iterator[Finding]:
    """Every directory of the six stores is there and private."""
    for folder in [*layout.directories(), *(folder for folder, _ in layout.all_series())]:
        if not folder.exists():
            yield warning("directory", folder, "missing", "run `fleet init`")
        elif not folder.is_dir():
            yield error(
                "directory", folder, "a file stands where a directory should be", "move it away, run `fleet init`"
            )
        elif (mode := folder.stat().st_mode & 0o077) != 0:
            yield warning("directory", folder, f"open to others (mode {0o700 | mode:o})", f"chmod 700 {folder}")
        else:
            yield green("directory", folder, "private")


def check_private_files(layout: Layout) -> Iterator[Finding]:
    """Nobody but the owner of the account reads the stores that hold money, users and tokens."""
    files = [*(layout.store(store) for store in SQLITE_STORES), layout.catalogue, layout.ledger, *layout.live_files()]
    for path in files:
        if path.is_file() and path.stat().st_mode & 0o077:
            yield warning(
                "permissions", path, f"open to others (mode {path.stat().st_mode & 0o777:o})", f"chmod 600 {path}"
            )


def check_locks(layout: Layout) -> Iterator[Finding]:
    """Held, free or left by the dead."""
    for store in (Store.HISTORY, Store.LIVE, *SQLITE_STORES):
        lock = WriterLock(layout.lock(store))
        holder = lock.holder()
        if lock.path.exists() and not lock.path.is_file():
            yield error("lock", lock.path, "no file, so nobody can take the lock", "move it away")
        elif lock.is_held_by_anyone():
            yield green("lock", lock.path, f"held by process {holder}")
        elif holder is None:
            yield green("lock", lock.path, "free")
        else:
            alive = "which lives but does not hold it" if psutil.pid_exists(holder) else "which is gone"
            yield warning(
                "lock", lock.path, f"free; names process {holder}, {alive}: it died without releasing",
                "nothing to do: the next owner takes it; look in that service's log for why it died",
            )  # fmt: skip


def check_disk(root: Path, settings: Health) -> Iterator[Finding]:
    """Room for the days to come, and that anything can be written at all."""
    if not os.access(root, os.W_OK):
        yield error("disk", root, "cannot be written", "mount it for writing; see the system's log for why it is not")
    free_gib = shutil.disk_usage(root).free / _GIB
    text = f"{free_gib:.1f} GiB free"
    if free_gib < settings.disk_free_error_gib:
        yield error(
            "disk", root, f"{text}, under {settings.disk_free_error_gib}", "make room, or move data/backups elsewhere"
        )
    elif free_gib < settings.disk_free_warning_gib:
        yield warning("disk", root, f"{text}, under {settings.disk_free_warning_gib}", "make room before it runs out")
    else:
        yield green("disk", root, text)
