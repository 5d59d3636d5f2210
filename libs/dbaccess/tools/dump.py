"""A SQLite store as a SQL text and back."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from libs.core.clock import IST, to_datetime
from libs.core.errors import Refused
from libs.dbaccess import schema
from libs.dbaccess.connections import sqlite_writer
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import PRIVATE_FILE, make_directory, sync_file
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.replace import replace_sqlite
from libs.dbaccess.roles import Store, require_owner

_ESCAPES = {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH}


def export_sql(db: DatabaseManager, store: Store, out: Path) -> int:
    """Write a store as SQL beside its living owner; gives the number of statements. Never overwrites a file."""
    if out.exists():
        raise Refused(f"{out}: is there already; give another name")
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
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
        problems = [*_problems(connection)]
        found, latest = schema.version_of(connection), int(schema.SCHEMAS[store.value].version)
        missing = sorted(set(schema.table_names(store.value)) - _tables(connection))
        if found is None or found > latest or missing:
            wrong = f"lacks {', '.join(missing)}" if missing else f"has schema version {found}, expected up to {latest}"
            raise Refused(f"{source}: is no dump of the {store.value} store: it {wrong}")
        if problems:
            raise StoreCorrupt(f"{source}: what it holds does not check out: {'; '.join(problems[:5])}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _problems(connection: sqlite3.Connection) -> Iterator[str]:
    for (text,) in connection.execute("PRAGMA integrity_check").fetchall():
        if text != "ok":
            yield text
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
        yield f"{table} row {row} points at a missing row of {parent}"


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def _authorize_import(action: int, _a: str | None, second: str | None, _b: str | None, _c: str | None) -> int:
    if action in _ESCAPES or (action == sqlite3.SQLITE_FUNCTION and second == "load_extension"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK
