"""What changed in the config store, stored with the change and replayed to whoever missed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libs.contracts.topics import topic
from libs.core.clock import US_PER_DAY
from libs.dbaccess.outbox import Outbox
from libs.dbaccess.sqlite_session import SqliteSession
from libs.messaging import Publisher
from libs.runtime.outbox import OutboxSource

STREAM = "config"


def store(connection: Any, table: str, key: str, at_us: int) -> int:
    """Put a change into the outbox, in the caller's transaction, and give its number."""
    # Made anew for each change: it counts in memory, and a change that is rolled back must not be counted.
    outbox = Outbox(connection, (STREAM,))
    return outbox.append(STREAM, topic("config", table), {"table": table, "key": key}, at_us, at_us)


class ToldSource(OutboxSource):
    """The outbox as the publisher reads it."""

    def __init__(self, session: SqliteSession, now_us: Callable[[], int], keep_days: int) -> None:
        self._session = session
        self._clock_us = now_us
        with session.transaction() as connection:
            self._stored = Outbox(connection, (STREAM,))
            self._stored.prune(now_us() - keep_days * US_PER_DAY)
        super().__init__(self._stored, now_us)

    def prime(self, publisher: Publisher) -> None:
        """Go on where an earlier process, or a command without one, stopped."""
        publisher.prime(STREAM, self._stored.last_by_topic(STREAM), self._stored.head(STREAM))

    def renew(self) -> None:
        """Count what was committed since."""
        with self._session.transaction() as connection:
            self._stored = Outbox(connection, (STREAM,))
        super().__init__(self._stored, self._clock_us)
