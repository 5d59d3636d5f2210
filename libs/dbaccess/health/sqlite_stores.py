"""The SQLite stores: readable, of our schema, whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from libs.dbaccess import schema
from libs.dbaccess.connections import sqlite_reader
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.health.finding import Finding, error, green, warning
from libs.dbaccess.layout import SQLITE_STORES, Layout
from libs.dbaccess.roles import Store
from libs.settings.storage import Health, Sqlite

_RESTORE = "stop its owner and put the newest copy from data/backups in its place"


def check_write_ahead_logs(layout: Layout, settings: Health) -> Iterator[Finding]:
    """A reader that stays in an old snapshot keeps every checkpoint from ending: the log grows until it goes."""
    for path in (*(layout.store(store) for store in SQLITE_STORES), layout.catalogue, layout.ledger):
        log = path.with_name(path.name + "-wal")
        size_mib = log.stat().st_size / 2**20 if log.is_file() else 0
        if size_mib > settings.write_ahead_log_warning_mib:
            yield warning(
                "store", log, f"{size_mib:.0f} MiB waiting, more than {settings.write_ahead_log_warning_mib}",
                "find the program that has read this store for hours, and end it; the owner then catches up",
            )  # fmt: skip


def check_sqlite_stores(layout: Layout, settings: Sqlite, stores: Iterable[Store], *, deep: bool) -> Iterator[Finding]:
    """Open each store as a reader would; deep runs SQLite's own integrity and foreign key checks."""
    for store in stores:
        yield from check_sqlite_file(layout, layout.store(store), store.value, settings, deep=deep)


def check_sqlite_file(layout: Layout, path: Path, name: str, settings: Sqlite, *, deep: bool) -> Iterator[Finding]:
    """Check one SQLite file against the schema of a name."""
    if not path.exists():
        yield warning("store", path, "missing", "run `fleet init`")
        return
    try:
        layout.confined(path)
        with sqlite_reader(path, settings) as connection:
            yield _check_schema(connection, name, path)
            problems = _integrity(connection, deep=deep)
    except (StoreCorrupt, sqlite3.DatabaseError, OSError, ValueError) as e:
        yield error("store", path, f"cannot be read: {e}", _RESTORE)
        return
    if problems:
        yield error("store", path, f"damaged: {'; '.join(problems[:5])}", _RESTORE)
    else:
        yield green("store", path, "whole" if deep else "readable")


def _check_schema(connection: sqlite3.Connection, name: str, path: Path) -> Finding:
    found, latest = schema.version_of(connection), int(schema.SCHEMAS[name].version)
    if found is None and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
        return error("schema", path, "an empty file stands where the store should be", _RESTORE)
    if found is None:
        return warning("schema", path, "no schema version", "run `fleet init`")
    if found > latest:
        return error(
            "schema", path, f"version {found} is newer than this code's {latest}", "upgrade the code, or restore"
        )
    if found < latest:
        return warning("schema", path, f"version {found}, this code wants {latest}", "run `fleet init`")
    return green("schema", path, f"version {found}")


def _integrity(connection: sqlite3.Connection, *, deep: bool) -> list[str]:
    """Quick reads every page; deep compares indexes with their tables and follows foreign keys as well."""
    check = "integrity_check" if deep else "quick_check(1)"
    problems = [row[0] for row in connection.execute(f"PRAGMA {check}").fetchall() if row[0] != "ok"]
    if deep:
        problems += [f"foreign key of {row[0]} row {row[1]}" for row in connection.execute("PRAGMA foreign_key_check")]
    return problems
