"""Fresh live files, with the rows that stay and every watermark, put in the place of the old ones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from libs.core.faults import crash_point
from libs.dbaccess.connections import attach_day, naming_disk, quote
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.files import PRIVATE_FILE, sync_directory, sync_file
from libs.dbaccess.live.paths import LivePaths
from libs.dbaccess.rollover.compare import require_same
from libs.dbaccess.rollover.frozen import FrozenBuffer


def write_fresh(paths: LivePaths, frozen: FrozenBuffer, table: str, ddl: Sequence[str], last: date) -> int:
    """Make a table's next file beside the one in use: rows of days after `last`, in the order they came; count them."""
    path = fresh_file(paths, table)
    for left in (path, Path(f"{path}.wal")):  # of a killed rollover; rows may have come since
        left.unlink(missing_ok=True)
    crash_point("rollover.fresh.before")
    connection = frozen.connection
    with naming_disk(path):
        connection.execute(f"ATTACH {quote(str(path))} AS fresh")
        connection.execute("USE fresh")
        for statement in ddl:
            connection.execute(statement)
        connection.execute(f"INSERT INTO {table} BY NAME {frozen.select_after(table, last)} ORDER BY rowid")
        # Without its watermarks the fresh file would be given the whole journal once more.
        connection.execute(f"INSERT INTO meta BY NAME SELECT * FROM live_{table}.meta")
        connection.execute("CHECKPOINT fresh")
        connection.execute("USE memory")
        connection.execute("DETACH fresh")
    path.chmod(PRIVATE_FILE)
    sync_file(path)
    rows = _check(frozen, path, table, last)
    crash_point("rollover.fresh.after")
    return rows


def swap_in(paths: LivePaths, tables: Sequence[str]) -> None:
    """Give the fresh files the names of the old ones. Between two of them each is right by itself."""
    for table in tables:
        crash_point("rollover.swap.before")
        fresh_file(paths, table).replace(paths.file(table))
        sync_directory(paths.root)
        crash_point("rollover.swap.after")


def fresh_file(paths: LivePaths, table: str) -> Path:
    """Where a table's next file is made."""
    return paths.root / f".{table}_today.next.duckdb"


def _check(frozen: FrozenBuffer, path: Path, table: str, last: date) -> int:
    connection = frozen.connection
    attach_day(connection, path, "fresh")
    try:
        ours, theirs = frozen.select_after(table, last), f"SELECT * FROM fresh.{table}"
        require_same(connection, ours, theirs, table, frozen.columns[table], str(path))
        marks = [
            connection.execute(f"SELECT stream, seq FROM {name}.meta ORDER BY stream").fetchall()
            for name in (f"live_{table}", "fresh")
        ]
        if marks[0] != marks[1]:
            raise StoreCorrupt(f"{path}: watermarks {marks[1]}, the live buffer has {marks[0]}")
        (rows,) = connection.execute(f"SELECT count(*) FROM fresh.{table}").fetchall()[0]
    finally:
        connection.execute("DETACH fresh")
    return int(rows)
