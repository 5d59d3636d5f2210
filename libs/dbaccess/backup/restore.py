"""Putting a copy of a SQLite store back in its place, under its owner's lock."""

from __future__ import annotations

import os
import shlex
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

import msgspec

from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.dbaccess.connections import sqlite_writer
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.files import PRIVATE_FILE, make_directory
from libs.dbaccess.layout import Layout
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.replace import replace_sqlite
from libs.dbaccess.roles import Store, require_owner
from libs.dbaccess.soundness import require_sound_store


class Restored(msgspec.Struct, frozen=True):
    """What a restore did: files put in place, files that were there alike, and how to go back.

    `go_back` is a command that can be typed as it stands, or says why there is none. `added` are those of the files
    put in place that replaced nothing: they stay when one goes back.
    """

    store: str
    source: str
    placed: int
    same: int
    kept: str | None
    go_back: str
    left_alone: tuple[str, ...] = ()
    added: int = 0


def restore_sqlite(db: DatabaseManager, store: Store, source: Path) -> Restored:
    """Put a checked copy in the store's place and keep what it replaces; `WriterLockHeld` while the owner lives.

    The copy itself is only read. Killed anywhere, the store is the old one or the new.
    """
    require_owner(db.role, store)
    path = db.layout.confined(db.layout.store(store))
    if not source.is_file():
        raise StoreMissing(source, "`fleet backups` lists the copies there are")
    if path.exists() and source.samefile(path):
        raise Refused(f"{source}: is the store itself; give one of its copies")
    make_directory(path.parent, db.layout.root)
    staged = path.with_name(f".{path.name}.{os.getpid()}.restore")
    with db.hold(store):
        try:
            _stage(source, staged, db, store)
            now = to_datetime(db.clock.now_us()).astimezone(IST)
            kept = replace_sqlite(path, staged, now=now, settings=db.settings.sqlite)
            go_back = _way_back(kept, staged, db, store) if kept else f"there was no store before; remove {path}"
        finally:
            _remove(staged)
    return Restored(store.value, str(source), 1, 0, str(kept) if kept else None, go_back, added=int(kept is None))


def way_back(store: str, kept: Path, layout: Layout) -> str:
    """Spell the command that puts back what a restore replaced, whatever root the environment names by then."""
    return shlex.join(["fleet", "restore", store, str(kept.resolve()), "--data-root", str(layout.root.resolve())])


def _way_back(kept: Path, staged: Path, db: DatabaseManager, store: Store) -> str:
    """Say how to go back only where one can: a store that was replaced because it was broken is not put back."""
    try:
        with suppress(OSError):  # a full disk, now that the restore is done
            _stage(kept, staged, db, store)
    except (Refused, StoreCorrupt) as e:
        return f"there is no way back, what was replaced is kept for whoever looks into it: {e}"
    return way_back(store.value, kept, db.layout)


def _stage(source: Path, staged: Path, db: DatabaseManager, store: Store) -> None:
    """Copy a cold file and its log beside the store, fold the log in, and check what came of it."""
    _remove(staged)
    for suffix in ("", "-wal"):  # a store that was kept broken has its log beside it
        part = source.with_name(source.name + suffix)
        if part.exists():
            shutil.copyfile(part, staged.with_name(staged.name + suffix))
    staged.chmod(PRIVATE_FILE)
    try:
        with sqlite_writer(staged, db.settings.sqlite, durable=True) as connection:
            require_sound_store(connection, store.value, source, "copy")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except (StoreCorrupt, sqlite3.DatabaseError) as e:
        raise StoreCorrupt(f"{source}: is damaged and was not put in place: {e}") from e


def _remove(staged: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        staged.with_name(staged.name + suffix).unlink(missing_ok=True)
