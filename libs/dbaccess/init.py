"""Making stores: each whole or not at all, again and again, by several at once without harm."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from libs.core.clock import IST, Clock, to_datetime
from libs.core.errors import Refused
from libs.core.faults import crash_point
from libs.dbaccess import live, migrate, schema
from libs.dbaccess.connections import backup_sqlite, sqlite_writer
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.files import PRIVATE_FILE, make_directory, sync_directory, sync_file, write_atomically
from libs.dbaccess.layout import SQLITE_STORES, Layout
from libs.dbaccess.locks import WriterLock
from libs.dbaccess.roles import Store
from libs.settings import Settings
from libs.settings.storage import Sqlite

#: Kept as they are built; the others are derived, and stored only where they were imported.
STORED_TIMEFRAMES = ("1m", "5m", "15m", "1d")
_LOST = "restore its newest copy from the backups, or move the file away to begin anew"
_CLEANUP_POLICY = b'{"runs_keep": 100, "days_keep": 30}\n'


class Made(msgspec.Struct, frozen=True):
    """What `fleet init` did about one store."""

    store: str
    path: str
    action: str


def require_root(layout: Layout) -> None:
    """Raise unless the data root is there."""
    if not layout.root.is_dir():
        raise StoreMissing(layout.root, "the data root is missing; run `fleet init` or set TRADEFLEET_DATA")


def require_run(layout: Layout, run_id: str) -> Path:
    """Give the file of a run; raise unless it is there."""
    path = layout.backtest_run(run_id)
    require_root(layout)
    if not path.exists():
        raise StoreMissing(path, "`fleet backtest list` shows the runs; one that was killed leaves no file")
    return layout.confined(path)


def init_all(layout: Layout, *, settings: Settings, clock: Clock) -> list[Made]:
    """Make what is missing, upgrade what is older, leave what its owner has open; one row a store."""
    if layout.root.exists() and not layout.root.is_dir():
        raise Refused(f"{layout.root}: the data root must be a directory, a file stands there")
    layout.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout.root.chmod(0o700)  # a checkout brings data/ with the modes of its umask
    for folder in layout.directories():
        make_directory(layout.confined(folder), layout.root)
    done = [_init_history(layout, settings, clock), _init_live(layout, settings, clock)]
    done += [_init_sqlite(layout, store, clock, settings.sqlite) for store in SQLITE_STORES]
    policy = layout.runs.parent / ".cleanup_policy.json"
    if not policy.exists():
        write_atomically(policy, _CLEANUP_POLICY)
    return done


def ensure_store(layout: Layout, store: Store, *, clock: Clock, settings: Sqlite) -> str:
    """Make a SQLite store, or bring it to this code's schema; the caller holds its writer lock."""
    return ensure_file(layout, layout.store(store), store.value, clock=clock, settings=settings)


def ensure_file(layout: Layout, path: Path, schema_name: str, *, clock: Clock, settings: Sqlite) -> str:
    """Make a SQLite file of a schema, or bring it up to date after a backup; says which."""
    make_directory(path.parent, layout.root)
    if path.exists():
        with sqlite_writer(path, settings, durable=True) as connection:
            before = migrate.version_of(connection)
            if before is None and not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                raise StoreCorrupt(f"{path}: an empty file stands where the store should be; {_LOST}")

            def backup() -> Path:
                return _backup_before_upgrade(layout, connection, schema_name, clock)

            applied = migrate.migrate(connection, schema_name, clock=clock, backup=backup)
        return f"upgraded from version {before} to {applied[-1]}" if applied else "current"

    def fill(staged: Path) -> None:
        with sqlite_writer(staged, settings, durable=True) as connection:
            migrate.migrate(connection, schema_name, clock=clock, backup=None)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    _make_whole(path, fill)
    return "created"


def _init_sqlite(layout: Layout, store: Store, clock: Clock, settings: Sqlite) -> Made:
    path = layout.confined(layout.store(store))
    lock = WriterLock(layout.lock(store))
    if not lock.acquire():
        return Made(store.value, str(path), f"in use by process {lock.holder()}, which keeps it current")
    try:
        return Made(store.value, str(path), ensure_store(layout, store, clock=clock, settings=settings))
    finally:
        lock.release()


def _init_history(layout: Layout, settings: Settings, clock: Clock) -> Made:
    """Make the folders of the exchange's series, the catalogue, and the note of their files' version."""
    exchange = settings.data.exchange
    lock = WriterLock(layout.lock(Store.HISTORY))
    if not lock.acquire():
        return Made(Store.HISTORY.value, str(layout.market), f"in use by process {lock.holder()}")
    try:
        action = _make_history(layout, exchange, clock, settings.sqlite)
    finally:
        lock.release()
    return Made(Store.HISTORY.value, str(layout.market), action)


def _make_history(layout: Layout, exchange: str, clock: Clock, settings: Sqlite) -> str:
    series = [layout.series(exchange, "ticks", None)]
    series += [layout.series(exchange, "candles", timeframe) for timeframe in STORED_TIMEFRAMES]
    for folder in series:
        make_directory(layout.confined(folder), layout.root)
    action = ensure_file(layout, layout.catalogue, "catalogue", clock=clock, settings=settings)
    if not layout.schema_version.exists():
        migrate.write_schema_version(layout.schema_version)
        action = "created"
    migrate.check_schema_version(layout.schema_version)
    return action


def _init_live(layout: Layout, settings: Settings, clock: Clock) -> Made:
    """Open the buffer once as its writer does, which makes, repairs and publishes whatever is missing."""
    action = "current" if all(path.exists() for path in layout.live_files()) else "created"
    lock = WriterLock(layout.lock(Store.LIVE))
    if not lock.acquire():
        return Made(Store.LIVE.value, str(layout.live), f"in use by process {lock.holder()}")
    try:
        exchange, ddl = settings.data.exchange, schema.live_ddl()
        ensure_file(layout, layout.ledger, "ledger", clock=clock, settings=settings.sqlite)
        with live.open_live_buffer(layout, settings.live, clock, exchange=exchange, ddl=ddl):
            pass
    finally:
        lock.release()
    return Made(Store.LIVE.value, str(layout.live), action)


def _make_whole(path: Path, fill: Callable[[Path], None]) -> None:
    """Build a file under a temporary name and give it its own when it is complete and on disk."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.new")
    staged.unlink(missing_ok=True)
    try:
        fill(staged)
        staged.chmod(PRIVATE_FILE)
        sync_file(staged)
        crash_point("init.rename.before")
        staged.rename(path)
        sync_directory(path.parent)
        crash_point("init.rename.after")
    finally:
        for suffix in ("", "-wal", "-shm", ".wal"):
            staged.with_name(staged.name + suffix).unlink(missing_ok=True)


def _backup_before_upgrade(layout: Layout, source: sqlite3.Connection, name: str, clock: Clock) -> Path:
    folder = layout.backups / "before_upgrade" / name
    make_directory(folder, layout.root)
    target = folder / f"{name}_{to_datetime(clock.now_us()).astimezone(IST):%Y%m%d_%H%M%S_%f}.db"
    backup_sqlite(source, target)
    target.chmod(PRIVATE_FILE)
    sync_file(target)
    return target
