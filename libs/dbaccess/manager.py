"""`DatabaseManager`: the one door to the six stores."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import duckdb

from libs.core.clock import Clock, SystemClock
from libs.core.errors import Refused
from libs.dbaccess import catalogue, live, schema
from libs.dbaccess.connections import duckdb_reader, sqlite_reader, sqlite_writer
from libs.dbaccess.dayfile import DayFile, Prove
from libs.dbaccess.held import HeldLocks
from libs.dbaccess.history import DayLoader, close_day, refuse_closed, write_day
from libs.dbaccess.init import ensure_file, ensure_store, require_root, require_run
from libs.dbaccess.layout import Layout, day_of
from libs.dbaccess.live import LiveBuffer, SnapshotReader
from libs.dbaccess.roles import Role, Store, require_owner
from libs.dbaccess.runs import write_run
from libs.dbaccess.schema.catalogue import ORIGINS
from libs.dbaccess.sqlite_session import CheckpointPolicy, SqliteSession
from libs.settings import Settings, load_settings


class DatabaseManager:
    """Readers for everybody, writers for the role that owns the store.

    Making one opens nothing. Every reader and writer is a context manager that closes on every path; a writer commits
    when its block ends and rolls back when it raises. A role that asks for a writer it does not own gets an
    `OwnershipError` before anything on disk is touched; a second owner gets `WriterLockHeld` with path and pid.
    """

    def __init__(
        self,
        data_root: Path | str,
        role: Role | str | None = None,
        *,
        read_only: bool = False,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.layout = Layout(data_root)
        self.role = None if read_only or role is None else Role(role)
        self.settings = settings or load_settings()
        self.clock = clock or SystemClock()
        self._locks = HeldLocks()
        self._turns: dict[Store, threading.RLock] = {store: threading.RLock() for store in Store}
        self._ensured: set[Store] = set()
        self._writing: set[tuple[Store, int]] = set()
        self._checkpoints: dict[Store, CheckpointPolicy] = {}

    # -- history

    @contextmanager
    def historical_reader(
        self, exchange: str, data_type: str, timeframe: str | None, day: date
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """Read one closed day; many may read it at once."""
        path = self.layout.day(exchange, data_type, timeframe, day)
        require_root(self.layout)
        with duckdb_reader(self.layout.confined(path)) as connection:
            yield connection

    @contextmanager
    def historical_writer(
        self, exchange: str, data_type: str, timeframe: str | None, day: date, *,
        origin: str = "import",
    ) -> Iterator[DayLoader]:  # fmt: skip
        """Write one new day and close it for ever when the block ends; if it raises, nothing is left."""
        with self._new_day(exchange, data_type, timeframe, day, origin) as (path, closed), self._turns[Store.HISTORY]:
            ddl = schema.day_ddl(data_type)
            with write_day(path, self.layout.root, ddl, data_type, timeframe, day_of(day)) as writer:
                yield writer
            closed.append(writer.closed)

    def close_day(
        self, connection: duckdb.DuckDBPyConnection, exchange: str, data_type: str, timeframe: str | None, day: date,
        parts: Iterable[str], *, every_row: Mapping[str, str | None] = {}, origin: str = "import",
        prove: Prove | None = None,
    ) -> None:  # fmt: skip
        """Write one new day, and close it for ever, with what SELECTs of the caller's connection give, sorted.

        `prove`, if there is one, holds the file against them before it gets its name, and gives its figures.
        `every_row` has what is the same in all candles (timeframe, origin, no seq), and the SELECTs then do not.
        For whoever has many days in one engine: threads may close several at the same time, never one twice.
        """
        with self._new_day(exchange, data_type, timeframe, day, origin) as (path, closed):
            ddl, root = schema.day_ddl(data_type, every_row), self.layout.root
            found = close_day(connection, path, root, ddl, data_type, timeframe, day_of(day), parts, prove=prove)
            closed.append(found)

    @contextmanager
    def _new_day(
        self, exchange: str, data_type: str, timeframe: str | None, day: date, origin: str
    ) -> Iterator[tuple[Path, list[DayFile | None]]]:
        """Give the path of a day that may be written, and list it with what is said of its file."""
        require_owner(self.role, Store.HISTORY)
        if origin not in ORIGINS:  # found out later, it would leave a closed day that no catalogue lists
            raise Refused(f"origin {origin!r}: expected one of {', '.join(ORIGINS)}")
        path = self.layout.day(exchange, data_type, timeframe, day)
        require_root(self.layout)
        refuse_closed(self.layout.confined(path))
        clock, settings, closed = self.clock, self.settings.sqlite, list[DayFile | None]()
        turn = self._turns[Store.HISTORY]  # threads make the catalogue once, and write to it in turn
        with self.history_lock():
            with turn:
                catalogue.ensure(self.layout, clock=clock, settings=settings)  # fails before, not after
            yield path, closed
            for found in filter(None, closed):  # a block that wrote nothing closes nothing
                with turn:
                    catalogue.record_day(self.layout, path, origin=origin, clock=clock, settings=settings,
                                         figures=found.figures, digest=found.checksum)  # fmt: skip

    @contextmanager
    def history_lock(self) -> Iterator[None]:
        """Hold the lock of history over several days' writes (rollover, import, archive)."""
        require_owner(self.role, Store.HISTORY)
        with self._locks.hold(self.layout.lock(Store.HISTORY)):
            yield

    # -- the live buffer

    @contextmanager
    def live_buffer_reader(self) -> Iterator[Mapping[str, SnapshotReader]]:
        """Read today's newest snapshot: `conns["ticks"]`, `conns["candles"]`. Never waits for the writer."""
        require_root(self.layout)
        self.layout.confined(self.layout.live)
        with live.live_buffer_reader(self.layout, self.settings.live) as connections:
            yield connections

    @contextmanager
    def live_buffer_writer(self) -> Iterator[LiveBuffer]:
        """Write today: held by the ingestor for its life. Flushes when the block ends; rolls back if it raises."""
        require_owner(self.role, Store.LIVE)
        require_root(self.layout)
        for path in self.layout.live_files():
            self.layout.confined(path)
        exchange, ddl = self.settings.data.exchange, schema.live_ddl()
        with (
            self._locks.hold(self.layout.lock(Store.LIVE)),
            self._turn(Store.LIVE),
            live.open_live_buffer(self.layout, self.settings.live, self.clock, exchange=exchange, ddl=ddl) as buffer,
        ):
            yield buffer

    @contextmanager
    def ledger_session(self) -> Iterator[SqliteSession]:
        """Write gaps, late ticks, quarantine and repairs, under the live buffer's lock: for its service."""
        require_owner(self.role, Store.LIVE)
        path = self.layout.ledger
        require_root(self.layout)
        self.layout.confined(path)
        with self._locks.hold(self.layout.lock(Store.LIVE)):
            ensure_file(self.layout, path, "ledger", clock=self.clock, settings=self.settings.sqlite)
            # Durable: what it holds is left out of the next replay of the journal.
            with sqlite_writer(path, self.settings.sqlite, durable=True) as connection:
                yield SqliteSession(connection, CheckpointPolicy(self.settings.sqlite, self.clock))

    @contextmanager
    def ledger_reader(self) -> Iterator[sqlite3.Connection]:
        """Read gaps, late ticks, quarantine and repairs beside their writer."""
        require_root(self.layout)
        with sqlite_reader(self.layout.confined(self.layout.ledger), self.settings.sqlite) as connection:
            schema.refuse_newer(connection, "ledger", self.layout.ledger)
            yield connection

    # -- SQLite stores

    @contextmanager
    def reader(self, store: Store) -> Iterator[sqlite3.Connection]:
        """Read a SQLite store beside its writer."""
        path = self.layout.store(store)
        require_root(self.layout)
        with sqlite_reader(self.layout.confined(path), self.settings.sqlite) as connection:
            schema.refuse_newer(connection, store.value, path)
            yield connection

    @contextmanager
    def trading_reader(self) -> Iterator[sqlite3.Connection]:
        """Read the trading store beside its writer."""
        with self.reader(Store.TRADING) as connection:
            yield connection

    @contextmanager
    def trading_writer(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the trading store, durable when the block ends."""
        with self._sqlite_writer(Store.TRADING) as connection:
            yield connection

    @contextmanager
    def signals_reader(self) -> Iterator[sqlite3.Connection]:
        """Read the signals store beside its writer."""
        with self.reader(Store.SIGNALS) as connection:
            yield connection

    @contextmanager
    def signals_writer(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the signals store."""
        with self._sqlite_writer(Store.SIGNALS) as connection:
            yield connection

    @contextmanager
    def config_reader(self) -> Iterator[sqlite3.Connection]:
        """Read the config store beside its writer."""
        with self.reader(Store.CONFIG) as connection:
            yield connection

    @contextmanager
    def config_writer(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the config store."""
        with self._sqlite_writer(Store.CONFIG) as connection:
            yield connection

    @contextmanager
    def backtest_index_reader(self) -> Iterator[sqlite3.Connection]:
        """Read the index of backtest runs."""
        with self.reader(Store.BACKTEST_INDEX) as connection:
            yield connection

    @contextmanager
    def backtest_index_writer(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the index of backtest runs."""
        with self._sqlite_writer(Store.BACKTEST_INDEX) as connection:
            yield connection

    @contextmanager
    def writer_session(self, store: Store) -> Iterator[SqliteSession]:
        """Hold a SQLite store for as long as the block lasts and run many transactions on it: for its service."""
        with self.lock(store) as path, self._turn(store):
            if store not in self._ensured or not path.exists():
                ensure_store(self.layout, store, clock=self.clock, settings=self.settings.sqlite)
                self._ensured.add(store)
            with sqlite_writer(path, self.settings.sqlite, durable=store is Store.TRADING) as connection:
                yield SqliteSession(connection, self.checkpoints(store))

    @contextmanager
    def lock(self, store: Store) -> Iterator[Path]:
        """Hold a SQLite store's lock from before its first session on; give the store's path."""
        require_owner(self.role, store)
        require_root(self.layout)
        path = self.layout.confined(self.layout.store(store))
        with self._locks.hold(self.layout.lock(store)):
            yield path

    def checkpoints(self, store: Store) -> CheckpointPolicy:
        """What the checkpoint policy of a store has counted and done so far."""
        return self._checkpoints.setdefault(store, CheckpointPolicy(self.settings.sqlite, self.clock))

    @contextmanager
    def hold(self, store: Store) -> Iterator[None]:
        """Hold a store's lock without opening it: to put another file in its place."""
        require_owner(self.role, store)
        with self._locks.hold(self.layout.lock(store)), self._turn(store):
            yield

    # -- backtest runs

    @contextmanager
    def backtest_reader(self, run_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Read one run."""
        with duckdb_reader(require_run(self.layout, run_id)) as connection:
            yield connection

    @contextmanager
    def backtest_writer(self, run_id: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Write a new run's file, which is whole and has its name when the block ends; nothing is left if it raises."""
        require_owner(self.role, Store.BACKTEST_RUN)
        path = self.layout.backtest_run(run_id)
        require_root(self.layout)
        self.layout.confined(path)
        if path.exists():
            raise Refused(f"{path}: this run exists; a runner writes only the run it created")
        with write_run(path, self.layout.root) as connection:
            yield connection

    # -- inside

    @contextmanager
    def _sqlite_writer(self, store: Store) -> Iterator[sqlite3.Connection]:
        with self.writer_session(store) as session, session.transaction() as connection:
            yield connection

    @contextmanager
    def _turn(self, store: Store) -> Iterator[None]:
        """Threads of one owner write one after another; a thread that would wait for itself is told."""
        me = (store, threading.get_ident())
        if me in self._writing:
            raise Refused(f"this thread already writes the {store.value} store; use the connection it has")
        with self._turns[store]:
            self._writing.add(me)
            try:
                yield
            finally:
                self._writing.discard(me)
