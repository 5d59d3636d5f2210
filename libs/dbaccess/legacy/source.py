"""The files of an older installation: copied byte by byte, then read from the copy; the originals are never opened."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from libs.core.errors import Refused, RetryLater
from libs.core.ids import content_id
from libs.dbaccess.connections import duckdb_writer, quote, sqlite_writer
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.files import PRIVATE_FILE, make_directory, sync_directory, sync_file
from libs.settings.storage import Sqlite

_BATCH = 50_000
#: A table that every store of the fleet has, and no older installation had.
_OWN_MARK = "store_identity"
#: A file and its logs. Without the rollback journal of a process that was killed, SQLite takes half a transaction for
#: a whole one.
_SUFFIXES = {"sqlite": ("", "-wal", "-journal"), "duckdb": ("", ".wal")}


def engine_of(path: Path) -> str:
    """Say by its first bytes what wrote a file."""
    if path.is_dir():
        raise Refused(f"{path}: is a folder; name the database files in it")
    if not path.is_file():
        raise StoreMissing(path, "expected the database file of an older installation")
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"SQLite format 3\x00"):
        return "sqlite"
    if head[8:12] == b"DUCK":
        return "duckdb"
    raise Refused(f"{path}: neither a SQLite nor a DuckDB file (it begins with {head[:16]!r})")


def source_id(path: Path) -> str:
    """Name a source by where it is and what it holds, so that a second run finds the first one's work."""
    digest = hashlib.blake2b(digest_size=16)
    for suffix in _SUFFIXES[engine_of(path)]:
        part = path.with_name(path.name + suffix)
        if part.exists():
            with part.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return content_id(str(path.resolve()), digest.hexdigest())[:16]


def copy_source(path: Path, target: Path) -> None:
    """Copy a source with its logs to where it is kept; `RetryLater` when somebody still writes it."""
    if target.exists():
        return
    for suffix in reversed(_SUFFIXES[engine_of(path)]):  # the main file last: with it the copy is whole
        part, copy = path.with_name(path.name + suffix), target.with_name(target.name + suffix)
        if not part.exists():
            continue
        before = part.stat()
        partial = copy.with_name(f".{copy.name}.partial")
        shutil.copyfile(part, partial)
        after = part.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            partial.unlink()
            raise RetryLater(f"{part}: changed while it was copied; stop the old installation first")
        partial.chmod(PRIVATE_FILE)
        sync_file(partial)
        partial.rename(copy)
    sync_directory(target.parent)


class LegacyFile:
    """An open copy of a source: its tables and their rows, whichever engine wrote it."""

    def __init__(self, engine: str, connection: Any) -> None:
        self.engine = engine
        self._connection = connection
        sql = (
            "SELECT 'main', name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            if engine == "sqlite"
            else "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal ORDER BY ALL"
        )
        # A table of another schema than the usual one is named with it.
        self._places = {
            name if schema == "main" else f"{schema}.{name}": f"{_spelled(schema)}.{_spelled(name)}"
            for schema, name in connection.execute(sql).fetchall()
        }

    def tables(self) -> list[str]:
        """Name the tables there are."""
        return list(self._places)

    def columns(self, table: str) -> list[str]:
        """Name the columns of a table."""
        found = self._connection.execute(f"SELECT * FROM {self._places[table]} LIMIT 0").description
        return [column[0] for column in found or ()]

    def count(self, table: str) -> int:
        """Count the rows of a table."""
        return int(self._connection.execute(f"SELECT count(*) FROM {self._places[table]}").fetchall()[0][0])

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """Give the rows of a table, some thousand in memory at once."""
        cursor = self._connection.cursor() if self.engine == "sqlite" else self._connection
        cursor.execute(f"SELECT * FROM {self._places[table]}")
        names = [column[0] for column in cursor.description]
        while batch := cursor.fetchmany(_BATCH):
            for row in batch:
                yield dict(zip(names, row, strict=True))

    def distinct(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """Give the different values of some columns together."""
        listed = ", ".join(_spelled(column) for column in columns)
        rows: list[tuple[Any, ...]] = self._connection.execute(
            f"SELECT DISTINCT {listed} FROM {self._places[table]} ORDER BY ALL"
            if self.engine == "duckdb"
            else f"SELECT DISTINCT {listed} FROM {self._places[table]} ORDER BY {listed}"
        ).fetchall()
        return rows

    def to_parquet(self, table: str, target: Path, *, equal: dict[str, Any] | None = None) -> None:
        """Write a table, or the rows with certain values, as Parquet; of SQLite mixed columns become text."""
        where = " AND ".join(f"{_spelled(column)} IS NOT DISTINCT FROM ?" for column in equal or {})
        if self.engine == "sqlite":
            where = where.replace("IS NOT DISTINCT FROM", "IS")
        sql = f"SELECT * FROM {self._places[table]}" + (f" WHERE {where}" if where else "")
        values = list((equal or {}).values())
        partial = target.with_name(f".{target.name}.partial")
        if self.engine == "duckdb":
            self._connection.execute(f"COPY ({sql}) TO {quote(partial)} (FORMAT parquet)", values)
        else:
            _sqlite_to_parquet(self._connection.execute(sql, values), partial)
        partial.rename(target)

    def checksum(self, table: str) -> str:
        """Sum the hashes of all rows: the same whatever their order."""
        total = 0
        for row in self.rows(table):
            total += row_hash(row.values())
        return f"{total % 2**64:016x}"


def keep_table(old: LegacyFile, table: str, folder: Path) -> str:
    """Write a whole table as Parquet beside the copy, for its columns that have no place in the new store."""
    target = folder / "columns" / f"{table}.parquet"
    make_directory(target.parent, folder)
    if not target.exists():
        old.to_parquet(table, target)
    return str(target)


def row_hash(values: Any) -> int:
    """Hash the values of one row."""
    data = msgspec.msgpack.encode([repr(value) for value in values])
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


@contextmanager
def open_copy(path: Path, source: Path) -> Iterator[LegacyFile]:
    """Open the copy of a source; its log is folded into it. Refuse a store of the fleet's own."""
    engine = engine_of(path)
    with ExitStack() as stack:
        try:
            old = LegacyFile(engine, _opened(stack, engine, path))
        except (duckdb.IOException, sqlite3.DatabaseError, StoreCorrupt) as e:
            raise StoreCorrupt(f"{source}: cannot be read: {e}") from e
        if _OWN_MARK in old.tables():
            raise Refused(f"{source}: is a store of this fleet, not of an older installation; see `fleet restore`")
        try:
            yield old
        except (duckdb.IOException, sqlite3.DatabaseError) as e:
            raise StoreCorrupt(f"{source}: cannot be read: {e}") from e


def _opened(stack: ExitStack, engine: str, path: Path) -> Any:
    if engine == "duckdb":
        return stack.enter_context(duckdb_writer(path))
    database = stack.enter_context(sqlite_writer(path, Sqlite(), durable=False))
    [(found,)] = database.execute("PRAGMA quick_check(1)").fetchall()
    if found != "ok":
        raise StoreCorrupt(f"the old file is damaged: {found}")
    return database


def _sqlite_to_parquet(cursor: sqlite3.Cursor, target: Path) -> None:
    """Write rows batch by batch as text: SQLite promises no type, and the reader of the file casts anyway."""
    names = [column[0] for column in cursor.description]
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        while rows := cursor.fetchmany(_BATCH):
            columns = list(zip(*rows, strict=True))
            arrays = [pa.array([None if cell is None else str(cell) for cell in column]) for column in columns]
            writer.write_table(pa.Table.from_arrays([each.cast(pa.string()) for each in arrays], schema=schema))


def _spelled(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
