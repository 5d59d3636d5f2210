"""Whether a SQLite file may stand in a store's place: whole, of a schema we know, with every table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from libs.core.errors import Refused
from libs.dbaccess import schema
from libs.dbaccess.errors import SchemaTooNew, StoreCorrupt


def require_sound_store(connection: sqlite3.Connection, name: str, source: Path, what: str) -> None:
    """Raise unless an open file is a whole store of a schema; `source` and `what` say in the error where it is from."""
    found, latest = schema.version_of(connection), int(schema.SCHEMAS[name].version)
    if found is not None and found > latest:
        raise SchemaTooNew(f"{source}: schema version {found} is newer than this code's {latest}; upgrade the code")
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    # An older version may lack what its migrations will add, but nothing of what the first one made.
    wanted = schema.table_names(name) if found == latest else schema.first_table_names(name)
    missing = sorted(set(wanted) - there) if found else []
    if found is None or missing:
        wrong = f"lacks {', '.join(missing)}" if missing else f"has no record of migrations, expected version {latest}"
        raise Refused(f"{source}: is no {what} of the {name} store: it {wrong}")
    if problems := list(problems_of(connection)):
        raise StoreCorrupt(f"{source}: what it holds does not check out: {'; '.join(problems[:5])}")


def problems_of(connection: sqlite3.Connection) -> Iterator[str]:
    """Name what SQLite finds wrong with pages, indexes and references."""
    for (text,) in connection.execute("PRAGMA integrity_check").fetchall():
        if text != "ok":
            yield text
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchall():
        yield f"{table} row {row} points at a missing row of {parent}"
