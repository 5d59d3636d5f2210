"""Closed days and the live buffer: readable, of our schema, whole, closed."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import duckdb

from libs.core.clock import US_PER_SECOND, Clock
from libs.dbaccess import catalogue, journal, live, migrate
from libs.dbaccess.connections import attach_day, duckdb_memory
from libs.dbaccess.errors import SchemaTooNew, StoreCorrupt, StoreMissing
from libs.dbaccess.files import checksum, is_closed
from libs.dbaccess.health.finding import Finding, error, green, warning
from libs.dbaccess.layout import Layout, closed_days
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.roles import Store
from libs.settings.storage import Live, Sqlite

_RESTORE_DAY = "move it away and put its copy from data/backups/market_data in its place"


def check_schema_version(layout: Layout) -> Iterator[Finding]:
    """The version of the market data's files is known and not newer than the code."""
    path = layout.schema_version
    try:
        version = migrate.read_schema_version(path)
        migrate.check_schema_version(path)
    except SchemaTooNew as e:
        yield error("schema", path, str(e), "upgrade the code")
    except StoreMissing:
        yield warning("schema", path, "missing", "run `fleet init`")
    except (StoreCorrupt, OSError) as e:
        yield error("schema", path, f"unreadable: {e}", "restore it from a backup of market data")
    else:
        yield green("schema", path, f"version {version}")


def check_closed_days(layout: Layout, settings: Sqlite, *, deep: bool) -> Iterator[Finding]:
    """Every closed day opens and holds its table, and none the catalogue lists is gone.

    Deep reads every block and compares the catalogue's checksum.
    """
    try:
        known = catalogue.checksums(layout, settings)
    except (StoreCorrupt, sqlite3.DatabaseError, ValueError) as e:
        yield error("catalogue", layout.catalogue, f"cannot be read: {e}", "move it away; it is rebuilt from the files")
        known = {}
    for path in known:
        if not path.exists():
            yield error("history", path, "the catalogue lists this day, the file is gone", _RESTORE_DAY)
    with _Engine() as engine:
        for folder, table in layout.all_series():
            days = closed_days(folder)
            sound = 0
            for _, path in days:
                if finding := _check_day(engine, layout, path, table, known, deep=deep):
                    yield finding
                else:
                    sound += 1
            if days:
                how = "read in full" if deep else "opened"
                yield green("history", folder, f"{sound} of {len(days)} closed days {how}")


class _Engine:
    """One DuckDB for many files: starting one takes longer than looking at a day."""

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._connection = self._stack.enter_context(duckdb_memory())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def attached(self, path: Path, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Attach a file for as long as the block lasts. One that is damaged may leave the engine of no more use."""
        try:
            attach_day(self._connection, path, name)
            yield self._connection
            self._connection.execute(f"DETACH {name}")
        except BaseException:
            self._stack.close()
            self._connection = self._stack.enter_context(duckdb_memory())
            raise


def _check_day(
    engine: _Engine, layout: Layout, path: Path, table: str, known: dict[Path, str], *, deep: bool
) -> Finding | None:
    try:
        layout.confined(path)
        with engine.attached(path, "day") as connection:
            connection.execute(f"SELECT count(*) FROM day.{table}").fetchall()
            if deep:
                read_every_block(connection, "day")
        if deep and path in known and checksum(path) != known[path]:
            return error("history", path, "its bytes are not the ones the catalogue recorded", _RESTORE_DAY)
    except (StoreCorrupt, duckdb.Error, OSError, ValueError) as e:
        return error("history", path, f"cannot be read: {e}", _RESTORE_DAY)
    if not is_closed(path):
        return warning("history", path, "a closed day can be written", f"chmod 444 {path}")
    return None


def read_every_block(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    """Read every column of every table, which makes DuckDB check the checksum of each block."""
    tables = connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?", [database]
    ).fetchall()
    for schema_name, table in tables:
        columns = connection.execute(f'SELECT * FROM "{database}"."{schema_name}"."{table}" LIMIT 0').description or []
        wanted = ", ".join(f'count(hash("{column[0]}"))' for column in columns)
        connection.execute(f'SELECT {wanted} FROM "{database}"."{schema_name}"."{table}"').fetchall()


def check_live_buffer(layout: Layout, settings: Live, clock: Clock, *, deep: bool) -> Iterator[Finding]:
    """While the ingestor lives its snapshot is checked; its files are only opened under its lock."""
    lock = WriterLock(layout.lock(Store.LIVE))
    if lock.is_held_by_anyone():
        yield from _check_snapshot(layout, settings, clock)
        return
    files = [path for path in layout.live_files() if path.exists()]
    if not files:
        yield warning("live buffer", layout.live, "missing", "run `fleet init`")
        return
    if not _free_to_look(lock):
        yield green("live buffer", layout.live, "its owner just started")
        return
    try:
        for path in files:
            yield _check_live_file(path, deep=deep)
        yield from _check_left_behind(layout, settings)
        yield from _check_journal(layout, deep=deep)
    finally:
        lock.release()


def _free_to_look(lock: WriterLock) -> bool:
    try:
        return lock.acquire_to_look()
    except OSError as e:
        if e.errno != errno.EROFS:
            raise
        return True  # nobody can write what it guards


def _check_left_behind(layout: Layout, settings: Live) -> Iterator[Finding]:
    """The snapshot that readers still get after its owner went; its next start makes it anew from the files."""
    try:
        with live.pin_snapshot(layout, settings):
            pass
    except StoreMissing:
        return
    except (StoreCorrupt, SchemaTooNew, OSError) as e:
        yield warning("live buffer", layout.live, f"its snapshot cannot be read: {e}", "start the ingestor")


def _check_journal(layout: Layout, *, deep: bool) -> Iterator[Finding]:
    """What was captured and may not be in the stores yet. Deep reads every record as the next start would."""
    if not layout.journal.is_dir():
        return
    try:
        segments = journal.check(layout.journal, deep=deep)
    except (StoreCorrupt, OSError) as e:
        yield error("journal", layout.journal, f"cannot be read: {e}", "keep it, see the runbook on a corrupt store")
        return
    yield green("journal", layout.journal, f"{segments} segments {'read in full' if deep else 'opened'}")


def _check_live_file(path: Path, *, deep: bool) -> Finding:
    advice = "keep the file, restart the ingestor (it rebuilds from its journal), see the runbook on a corrupt store"
    try:
        with duckdb_memory() as connection:
            attach_day(connection, path, "buffer")
            if deep:
                read_every_block(connection, "buffer")
    except (StoreCorrupt, duckdb.Error, OSError) as e:
        return error("live buffer", path, f"cannot be read: {e}", advice)
    return green("live buffer", path, "read in full" if deep else "opened")


def _check_snapshot(layout: Layout, settings: Live, clock: Clock) -> Iterator[Finding]:
    try:
        with live.pin_snapshot(layout, settings) as snapshot:
            age_ms = (clock.now_us() - snapshot.published_at_us) * 1000 // US_PER_SECOND
    except (StoreMissing, StoreCorrupt, duckdb.Error, OSError) as e:
        yield error("live buffer", layout.live, f"its snapshot cannot be read: {e}", "restart the ingestor")
        return
    if age_ms > 2 * settings.flush_interval_ms:
        yield warning(
            "live buffer", layout.live, f"snapshot is {age_ms} ms old, more than 2 x {settings.flush_interval_ms}",
            "see whether the ingestor hangs: `fleet logs ingestor`",
        )  # fmt: skip
    else:
        yield green("live buffer", layout.live, f"in use; snapshot {age_ms} ms old")


def check_runs(layout: Layout, *, deep: bool) -> Iterator[Finding]:
    """Every backtest run opens; they are disposable, so a broken one is a warning."""
    with _Engine() as engine:
        for path in sorted(layout.runs.glob("run_*.duckdb")):
            try:
                layout.confined(path)
                with engine.attached(path, "run") as connection:
                    if deep:
                        read_every_block(connection, "run")
            except (StoreCorrupt, duckdb.Error, OSError, ValueError) as e:
                yield warning("run", path, f"cannot be read: {e}", f"remove it: rm {path}")
