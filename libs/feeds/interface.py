"""What every source of market data offers. It says what happened; deciding what to do about it is supervision's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from libs.contracts.feed import FeedEvent


class Feed(Protocol):
    """A source for one reader, in one thread or event loop. Nothing here waits for the other side.

    After `connect` the source subscribes to its symbols by itself, then `poll` gives a `FeedConnected`, frames, and a
    `FeedLost` when it is over. A lost source may be connected again.
    """

    #: Most symbols one connection may have.
    symbols_max: int

    def connect(self) -> None:
        """Begin to connect. Raises only what no later attempt can mend by itself (no credentials, a wrong host)."""
        ...

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Add symbols, now and at every later connect. Refuses what the source does not know or has no room for."""
        ...

    def unsubscribe(self, symbols: Sequence[str]) -> None:
        """Take symbols out, now and at every later connect."""
        ...

    def symbols(self) -> frozenset[str]:
        """What is subscribed to."""
        ...

    def poll(self, limit: int) -> list[FeedEvent]:
        """Give what came, in order, at most so many; empty when nothing did."""
        ...

    def waiting(self) -> int:
        """How much came and was not polled yet."""
        ...

    def on_event(self, wake: Callable[[], None]) -> None:
        """Have this called, from any thread, when there is something to poll."""
        ...

    def disconnect(self) -> None:
        """Drop the connection without a `FeedLost`, and with it what came and was not polled."""
        ...

    def close(self) -> None:
        """Disconnect for good."""
        ...
