"""The question a joining reader asks: a topic of its own, on the socket it reads, answered with the owner's heads."""

from __future__ import annotations

from collections.abc import Callable

from libs.contracts.bus import SYNC
from libs.contracts.topics import TERMINATOR
from libs.messaging.wires import FollowerWire

_PENDING_MAX = 8


class Sync:
    """Asks with a new nonce until an answer comes. Of one join, a slow answer to an earlier nonce is as good."""

    def __init__(self, wire: FollowerWire, nonces: Callable[[], str], timeout_ns: int) -> None:
        self._wire = wire
        self._nonces = nonces
        self._timeout_ns = timeout_ns
        self._topics: list[str] = []
        self._asked_ns = 0

    @property
    def pending(self) -> bool:
        return bool(self._topics)

    def answers(self, topic: str) -> bool:
        """Whether a message on this topic is the answer."""
        return topic in self._topics

    def ask(self, now_ns: int) -> None:
        topic = f"{SYNC}.{self._nonces()}{TERMINATOR}"
        self._topics.append(topic)
        self._asked_ns = now_ns
        self._wire.subscribe(topic)
        if len(self._topics) > _PENDING_MAX:
            self._wire.unsubscribe(self._topics.pop(0))

    def is_late(self, now_ns: int) -> bool:
        return now_ns - self._asked_ns >= self._timeout_ns

    def forget(self) -> None:
        """Want no answer any more: it came, or what it would say is of no use now."""
        for topic in self._topics:
            self._wire.unsubscribe(topic)
        self._topics.clear()
