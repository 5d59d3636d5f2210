"""Figures of a store: size, rows, fragmentation."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from libs.dbaccess import live
from libs.dbaccess.connections import attach_day, duckdb_memory
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import Layout, closed_days
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.roles import Store


class Figures(msgspec.Struct, frozen=True):
    """One table of a SQLite store, or one series of history."""

    subject: str
    rows: int
    bytes: int
    files: int = 1
    #: Share of the file's pages that hold nothing: what VACUUM would give back.
    free_share: float = 0.0


def figures(db: DatabaseManager, store: str) -> list[Figures]:
    """Give the figures of a SQLite store by its name, of `market`, or of `live`."""
    require_root(db.layout)
    if store == "market":
        return list(history_figures(db.layout))
    if store == "live":
        return list(live_figures(db))
    return sqlite_figures(db, Store(store))


def live_figures(db: DatabaseManager) -> Iterator[Figures]:
    """Count the rows of the newest snapshot, the only view of the buffer that disturbs nobody."""
    with live.pin_snapshot(db.layout, db.settings.live) as snapshot:
        for table in ("ticks", "candles"):
            files = snapshot.files(table)
            size = sum(path.stat().st_size for path in files)
            yield Figures(f"{table} (snapshot {snapshot.generation})", snapshot.rows(table), size, files=len(files))


def sqlite_figures(db: DatabaseManager, store: Store) -> list[Figures]:
    """Count the rows of every table and say how much of the file is free."""
    path = db.layout.store(store)
    with db.reader(store) as connection:
        pages, free, page_size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            )
        ]
        whole = Figures(path.name, _rows(connection, tables), _size(path), free_share=free / pages if pages else 0.0)
        sizes = _table_sizes(connection, page_size)
        return [whole, *(Figures(table, _rows(connection, [table]), sizes.get(table, 0)) for table in tables)]


def history_figures(layout: Layout) -> Iterator[Figures]:
    """Count the rows of every series, day file by day file, from their metadata."""
    for folder, table in layout.all_series():
        days = closed_days(folder)
        rows = 0
        for _, path in days:
            with duckdb_memory() as connection:
                attach_day(connection, path, "day")
                rows += connection.execute(f"SELECT count(*) FROM day.{table}").fetchall()[0][0]
        size = sum(path.stat().st_size for _, path in days)
        yield Figures(folder.relative_to(layout.market).as_posix(), rows, size, files=len(days))


def _rows(connection: sqlite3.Connection, tables: list[str]) -> int:
    return sum(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] for table in tables)


def _table_sizes(connection: sqlite3.Connection, page_size: int) -> dict[str, int]:
    """Bytes per table where SQLite was built with its page statistics, else nothing."""
    try:
        rows = connection.execute("SELECT name, count(*) FROM dbstat WHERE aggregate = FALSE GROUP BY name").fetchall()
    except sqlite3.DatabaseError:
        return {}
    return {name: count * page_size for name, count in rows}


def _size(path: Path) -> int:
    beside = [path, path.with_name(path.name + "-wal")]
    return sum(part.stat().st_size for part in beside if part.exists())
