"""Opening databases, with the walls each kind of connection needs. The only module that calls `connect`."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from libs.core.errors import Refused
from libs.dbaccess.errors import DiskRefused, StoreBusy, StoreCorrupt, StoreMissing
from libs.settings.storage import Sqlite

#: Naive times in SQL and in frames handed to DuckDB are IST, as everywhere else in the fleet.
SESSION_ZONE = "Asia/Kolkata"

_REFUSALS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG}
_DAMAGE_WORDS = (
    "Corrupt database file",
    "not a valid DuckDB database file",
    "Could not read enough bytes",
    "Is a directory",
)
_READ_ACTIONS = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_RECURSIVE,
    sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_SAVEPOINT,
}
_READ_PRAGMAS = {
    "application_id", "compile_options", "database_list", "foreign_key_check", "foreign_key_list", "freelist_count",
    "index_info", "index_list", "index_xinfo", "integrity_check", "page_count", "page_size", "quick_check",
    "schema_version", "table_info", "table_list", "table_xinfo", "user_version",
}  # fmt: skip
#: Pragmas whose argument asks rather than sets.
_ASKING_PRAGMAS = {"foreign_key_check", "foreign_key_list", "index_info", "index_list", "index_xinfo",
                   "integrity_check", "quick_check", "table_info", "table_xinfo"}  # fmt: skip

#: How much of a copy is made, and how much of it is checked, before it is asked whether to go on.
_PAGES_A_STEP, _STEPS_A_LOOK = 1000, 10_000
#: Two threads that open the same file must not find it half walled in.
_READER_TURN = threading.Lock()


@contextmanager
def duckdb_reader(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file read-only in the engine, with no way from SQL to other files or extensions."""
    if not path.exists():
        raise StoreMissing(path)
    with _READER_TURN:
        connection = _duckdb_connect(path, read_only=True)
        _wall_in(connection)
    try:
        with naming_damage(path):
            yield connection
    finally:
        connection.close()


@contextmanager
def duckdb_writer(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file for writing. The caller holds the store's writer lock and opens the file no other way."""
    connection = _duckdb_connect(path, read_only=False)
    try:
        yield connection
    finally:
        connection.close()


def drop_cached_blocks(connection: duckdb.DuckDBPyConnection) -> None:
    """Give back the memory of blocks that are on disk already.

    DuckDB keeps every block it wrote until its memory limit, which a writer that appends all day reaches with blocks
    nobody reads again. A lower limit all day would make a big transaction fail; lowered for an instant, it only
    empties the cache. What is in use stays, and DuckDB says so: no fault of anybody's. The limit afterwards is
    DuckDB's own: reading it back and setting it rounds it down a little every time.
    """
    with suppress(duckdb.OutOfMemoryException):
        connection.execute("SET memory_limit = '1MiB'")
    connection.execute("RESET memory_limit")


@contextmanager
def duckdb_memory(
    *, memory_max_mib: int | None = None, threads_max: int | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an in-memory DuckDB, the place where closed days are attached and new ones are loaded."""
    connection = _duckdb_connect(None, read_only=False)
    try:
        if memory_max_mib:
            connection.execute(f"SET memory_limit = '{int(memory_max_mib)}MiB'")
        if threads_max:
            connection.execute(f"SET threads = {int(threads_max)}")
        yield connection
    finally:
        connection.close()


def attach_day(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    """Attach a closed day read-only under a name; a file that is no database is corrupt, and named."""
    if not path.exists():
        raise StoreMissing(path)
    with naming_damage(path):
        connection.execute(f"ATTACH {quote(path)} AS {name} (READ_ONLY)")


def quote(text: str | Path) -> str:
    """Spell a text or a path as a SQL literal: DuckDB takes no parameter in ATTACH, COPY, SET or a view."""
    return "'" + str(text).replace("'", "''") + "'"


def parquet_source(parts: Sequence[Path]) -> str:
    """Spell Parquet files as one table; what their folders are called is no column."""
    return f"read_parquet([{', '.join(quote(part) for part in parts)}], hive_partitioning = false)"


@contextmanager
def naming_damage(path: Path | None) -> Iterator[None]:
    """Turn DuckDB's many ways of saying that a file is damaged into `StoreCorrupt` with the file's name."""
    try:
        yield
    except duckdb.Error as e:
        if is_damage(e):
            raise StoreCorrupt(f"{path}: not a sound DuckDB file: {e}") from e
        raise


@contextmanager
def naming_busy(path: Path) -> Iterator[None]:
    """Turn SQLite's words for a lock that was not had within the busy timeout into `StoreBusy` with the path."""
    try:
        yield
    except sqlite3.OperationalError as e:
        if e.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreBusy(path, f"{e}; is another tool open on it?") from e
        raise


@contextmanager
def naming_disk(path: Path) -> Iterator[None]:
    """Turn a disk's refusal, in the words of whichever library met it, into `DiskRefused` with the path."""
    try:
        yield
    except (sqlite3.OperationalError, duckdb.Error, OSError) as e:
        if not isinstance(e, DiskRefused) and _is_refusal(e):
            raise DiskRefused(f"{path}: the disk refused the write: {e}") from e
        raise


def _is_refusal(error: Exception) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorname.startswith(("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR"))
    if isinstance(error, OSError):
        return error.errno in _REFUSALS
    # A checkpoint that finds the disk full ends in an error of the kind that damage has.
    return "Could not write" in str(error) or (isinstance(error, duckdb.IOException) and not is_damage(error))


def is_damage(error: duckdb.Error) -> bool:
    """Tell a damaged file from a wrong query, a lock or a full disk. DuckDB has no one class for it."""
    broken = (duckdb.SerializationException, duckdb.InternalException, duckdb.FatalException)
    return isinstance(error, broken) or any(words in str(error) for words in _DAMAGE_WORDS)


def _duckdb_connect(path: Path | None, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    try:
        with naming_damage(path):
            connection = duckdb.connect(
                str(path) if path else ":memory:",
                read_only=read_only,
                config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
            )
    except duckdb.IOException as e:
        if path and "Could not set lock" in str(e):
            raise StoreBusy(path, f"another process has it open: {e}") from e
        raise
    if not _is_locked(connection):
        connection.execute(f"SET GLOBAL TimeZone = '{SESSION_ZONE}'")
    return connection


def _wall_in(connection: duckdb.DuckDBPyConnection) -> None:
    """Leave SQL no way out. Connections of one process to one file share an instance: the first puts up the walls."""
    if not _is_locked(connection):
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")


def _is_locked(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0][0])


@contextmanager
def sqlite_reader(path: Path, settings: Sqlite) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file read-only three times over: `mode=ro`, `query_only` and an authorizer."""
    if not path.exists():
        raise StoreMissing(path, "run `fleet init`")
    if path.is_dir():
        raise StoreCorrupt(f"{path}: a directory stands where the store's file should be")
    if not path.stat().st_size:  # SQLite takes it for a database without tables
        raise StoreCorrupt(f"{path}: an empty file stands where the store should be")
    connection = sqlite3.connect(
        _read_only_uri(path), uri=True, isolation_level=None, timeout=settings.busy_timeout_ms / 1000
    )
    try:
        with naming_busy(path):
            _translate_damage(connection, path)
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{settings.cache_size_kib}")
            connection.set_authorizer(_authorize_read)
            yield connection
    finally:
        connection.close()


def _read_only_uri(path: Path) -> str:
    """Name a file to be read only; where nothing can be written, one that was closed well is read as it lies.

    Even to read, SQLite makes a file beside one in WAL mode, unless it is told that nobody writes.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    if os.access(path.parent, os.W_OK) or path.with_name(f"{path.name}-shm").exists():
        return uri
    journal = path.with_name(f"{path.name}-wal")
    if journal.exists() and journal.stat().st_size:
        raise Refused(
            f"{path} was not closed by its writer, and nothing can be written in {path.parent} to read it with its "
            f"{journal.name}; copy both to where it can, and read there"
        )
    return f"{uri}&immutable=1"


@contextmanager
def sqlite_writer(path: Path, settings: Sqlite, *, durable: bool) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file for writing in autocommit; `durable` syncs every commit, for the store that holds money."""
    if path.is_dir():
        raise StoreCorrupt(f"{path}: a directory stands where the store's file should be")
    connection = sqlite3.connect(
        path, isolation_level=None, timeout=settings.busy_timeout_ms / 1000, check_same_thread=False
    )
    try:
        with naming_disk(path), naming_busy(path):
            _translate_damage(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA cache_size = -{settings.cache_size_kib}")
            connection.execute("PRAGMA wal_autocheckpoint = 0")  # our own policy checkpoints, and says so
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
    finally:
        connection.close()


def _translate_damage(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.DatabaseError as e:
        if isinstance(e, sqlite3.OperationalError) and "malformed" not in str(e):
            raise
        raise StoreCorrupt(f"{path}: not a readable SQLite file: {e}") from e


def _authorize_read(
    action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None
) -> int:
    if action in _READ_ACTIONS:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second == "load_extension" else sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _READ_PRAGMAS:
        asks = second is None or (first or "").lower() in _ASKING_PRAGMAS
        return sqlite3.SQLITE_OK if asks else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY


def backup_sqlite(source: sqlite3.Connection, target: Path, go_on: Callable[..., None] | None = None) -> None:
    """Copy a SQLite store while its writer lives, and check the copy.

    `go_on` is called every few pages and ends it by raising: for the writer itself, whose store stands still meanwhile.
    """
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(copy, pages=_PAGES_A_STEP if go_on else -1, progress=go_on)
        copy.set_progress_handler(go_on, _STEPS_A_LOOK)
        found = copy.execute("PRAGMA integrity_check").fetchone()
    finally:
        copy.close()
    if found != ("ok",):
        raise StoreCorrupt(f"{target}: the backup does not check out: {found}")
