"""A SQLite store as a SQL text and back."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TextIO

from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.dbaccess.connections import naming_disk, sqlite_writer
from libs.dbaccess.files import PRIVATE_FILE, make_directory, sync_file
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.replace import replace_sqlite
from libs.dbaccess.roles import Store, require_owner
from libs.dbaccess.soundness import require_sound_store

_ESCAPES = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}


def export_sql(db: DatabaseManager, store: Store, out: Path) -> int:
    """Write a store as SQL beside its living owner; gives the number of statements. Never overwrites a file."""
    if out.exists():
        raise Refused(f"{out}: is there already; give another name")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with naming_disk(out):
            with db.reader(store) as connection, partial.open("w", encoding="utf-8") as file:
                partial.chmod(PRIVATE_FILE)
                statements = _write_statements(connection, file)
            sync_file(partial)
            partial.rename(out)
    finally:
        partial.unlink(missing_ok=True)
    return statements


def _write_statements(connection: sqlite3.Connection, file: TextIO) -> int:
    connection.set_authorizer(None)  # the dump asks what readers may not; mode=ro and query_only still stand
    connection.execute("BEGIN")  # one picture, however long it takes
    count = 0
    for statement in connection.iterdump():
        file.write(statement + "\n")
        count += 1
    return count


def import_sql(db: DatabaseManager, store: Store, source: Path) -> Path | None:
    """Replace a store by a dump of one; gives where the replaced store is kept, None if there was none.

    The dump is run into a file of its own and checked (integrity, foreign keys, schema) before anything is replaced.
    """
    require_owner(db.role, store)
    path = db.layout.confined(db.layout.store(store))
    make_directory(path.parent, db.layout.root)
    staged = path.with_name(f".{path.name}.{os.getpid()}.import")
    with db.hold(store):
        try:
            _load(source, staged, db, store)
            now = to_datetime(db.clock.now_us()).astimezone(IST)
            return replace_sqlite(path, staged, now=now, settings=db.settings.sqlite)
        finally:
            for suffix in ("", "-wal", "-shm"):
                staged.with_name(staged.name + suffix).unlink(missing_ok=True)


def _load(source: Path, staged: Path, db: DatabaseManager, store: Store) -> None:
    staged.unlink(missing_ok=True)
    with sqlite_writer(staged, db.settings.sqlite, durable=False) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")  # rows come in the order of tables; all is checked below
        connection.set_authorizer(_authorize_import)
        try:
            connection.executescript(source.read_text("utf-8"))
        except (sqlite3.DatabaseError, UnicodeDecodeError) as e:
            raise Refused(f"{source}: is no SQL dump of a store: {e}") from e
        connection.set_authorizer(None)
        require_sound_store(connection, store.value, source, "dump")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _authorize_import(action: int, _a: str | None, second: str | None, _b: str | None, _c: str | None) -> int:
    if action in _ESCAPES or (action == sqlite3.SQLITE_FUNCTION and second == "load_extension"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK
