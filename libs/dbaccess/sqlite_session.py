"""A writer's time with one SQLite store: transactions, and the checkpoints between them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from libs.core.clock import US_PER_SECOND, Clock
from libs.core.faults import crash_point
from libs.settings.storage import Sqlite


@dataclass
class CheckpointPolicy:
    """Fold the write-ahead log in after so many transactions or so much time; counts what it did."""

    settings: Sqlite
    clock: Clock
    transactions: int = 0
    checkpoints: int = 0
    checkpoints_hindered: int = 0
    pages_waiting: int = 0
    last_us: int = 0

    def committed(self, connection: sqlite3.Connection) -> None:
        """Count a transaction, and checkpoint when it is time."""
        now = self.clock.now_us()
        self.last_us = self.last_us or now
        self.transactions += 1
        waited_s = (now - self.last_us) / US_PER_SECOND
        if (
            self.transactions >= self.settings.checkpoint_transactions_max
            or waited_s >= self.settings.checkpoint_interval_s
        ):
            self.checkpoint(connection)

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move what readers allow into the main file; a reader in the way costs nothing but the next try.

        SQLite calls that no failure: it just moves fewer pages than there are. A log that only grows says so.
        """
        busy, logged, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self.checkpoints += 1
        self.pages_waiting = max(0, logged - moved)
        self.checkpoints_hindered += bool(busy or self.pages_waiting)
        self.transactions = 0
        self.last_us = self.clock.now_us()


class SqliteSession:
    """An open store and its lock, for as long as the owner works with it."""

    def __init__(self, connection: sqlite3.Connection, policy: CheckpointPolicy) -> None:
        self.connection = connection
        self.policy = policy

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit everything in the block, or nothing if it raises."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            crash_point("sqlite.commit.before")
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        crash_point("sqlite.commit.after")
        self.policy.committed(self.connection)
