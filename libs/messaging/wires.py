"""What publishers and subscribers need of a wire: ZeroMQ's sockets have it, and so has the bus in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class PublisherWire(Protocol):
    """The sockets below a publisher, real or in memory. Nothing here ever blocks."""

    def send(self, topic_bytes: bytes, body: bytes) -> bool:
        """Send to whoever subscribes; False when a full queue made at least one of them miss it."""
        ...

    def subscriptions(self, limit: int) -> Iterable[bytes]:
        """What subscribers asked for since the last call: 1 and a prefix, or 0 and a prefix that nobody wants now."""
        ...

    def requests(self, limit: int) -> Iterable[tuple[bytes, bytes]]:
        """Replay requests waiting: who asks, and the body."""
        ...

    def reply(self, identity: bytes, body: bytes) -> None: ...

    def descriptors(self) -> list[int]: ...

    def close(self) -> None: ...


class FollowerWire(Protocol):
    """The sockets below a follower, real or in memory."""

    def subscribe(self, prefix: str) -> None: ...

    def unsubscribe(self, prefix: str) -> None: ...

    def request(self, body: bytes) -> None: ...


class SubscriberWire(FollowerWire, Protocol):
    """The sockets to one owner, real or in memory."""

    def message(self) -> tuple[bytes, bytes] | None: ...

    def reply(self) -> bytes | None: ...

    def descriptors(self) -> list[int]: ...

    def close(self) -> None: ...
