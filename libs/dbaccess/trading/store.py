"""The trading store, held by its one writer for its whole life."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from libs.core.clock import Clock
from libs.dbaccess.outbox import Outbox
from libs.dbaccess.sqlite_session import SqliteSession
from libs.dbaccess.trading.entry import Entry, Message

#: The streams of the bus this store is the journal of.
STREAMS = ("orders", "trades", "positions", "risk")


class TradingStore:
    """Gives transactions; hands their messages to `publish` once they are durable.

    A transaction that fails leaves memory ahead of the store: whoever gets the error ends the process.
    """

    def __init__(self, session: SqliteSession, clock: Clock, streams: Sequence[str] = STREAMS) -> None:
        self.session = session
        self.publish: Callable[[Message], None] = lambda _message: None
        self._clock = clock
        self._held: deque[Message] = deque()
        with session.transaction() as connection:
            self.outbox = Outbox(connection, streams)

    @contextmanager
    def transaction(self, *, holds_messages: bool = False) -> Iterator[Entry]:
        """Commit everything in the block, or nothing if it raises; then publish what it told.

        With `holds_messages` that waits for the next transaction or `publish_held`: a request that must leave goes
        before it. Messages keep their sequence.
        """
        with self.session.transaction() as connection:
            entry = Entry(connection, self.outbox, self._clock.now_us())
            yield entry
        self._held.extend(entry.messages)
        if not holds_messages:
            self.publish_held()

    def publish_held(self) -> None:
        """Publish what committed transactions told and nobody heard yet."""
        while self._held:
            self.publish(self._held.popleft())
