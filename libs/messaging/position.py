"""How far a reader has come in one stream, topic by topic."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from libs.contracts.bus import Envelope, StreamHead, TickBatch
from libs.messaging.metrics import StreamReceived

#: Stands for a payload of a later version: its place in the stream counts, and nobody is given it.
SKIPPED: Any = object()


class Replay(msgspec.Struct):
    """What was asked of the owner, and when."""

    request_id: str
    after: int
    upto: int
    asked_ns: int


class StreamPosition:
    """One stream: `base` is complete, `last` is what was handed over beyond it, `held` waits for what is missing."""

    __slots__ = ("base", "epoch", "figures", "held", "last", "live", "name", "prefixes", "replay", "replayable")

    def __init__(self, name: str, prefixes: Sequence[str], base: int | None, figures: StreamReceived) -> None:
        self.name = name
        self.prefixes = tuple(prefixes)
        self.base = base
        self.last: dict[str, int] = {}
        self.epoch = ""
        self.live = False
        self.replay: Replay | None = None
        self.replayable = True
        self.held: deque[tuple[str, Envelope[Any]]] = deque()
        self.figures = figures

    def known(self, topic: str) -> int:
        """The seq up to which this topic is complete."""
        return self.last.get(topic, self.base or 0)

    def is_next(self, topic: str, envelope: Envelope[Any]) -> bool:
        """Whether a live message is plainly the next of its topic, as nearly all are; the rest take the long way."""
        payload = envelope.payload
        return (
            self.live
            and envelope.epoch == self.epoch
            and envelope.prev <= self.last.get(topic, self.base or 0) < envelope.seq
            and payload is not SKIPPED
            and type(payload) is not TickBatch
        )

    def take(self, topic: str, envelope: Envelope[Any]) -> Envelope[Any] | None:
        """Move on to a message; None when it was handed over before, without the known part when it overlaps."""
        known = self.last.get(topic, self.base or 0)
        if envelope.seq <= known:
            return None
        self.last[topic] = envelope.seq
        payload = envelope.payload
        if type(payload) is TickBatch and payload.ticks and payload.ticks[0].seq <= known:
            rest = TickBatch([tick for tick in payload.ticks if tick.seq > known])
            return msgspec.structs.replace(envelope, payload=rest)
        return envelope

    def missed(self, head: StreamHead) -> bool:
        """Whether the owner published something on our topics that has not arrived."""
        base, last, prefixes = self.base or 0, self.last, self.prefixes
        return any(
            seq > base and topic.startswith(prefixes) and seq > last.get(topic, base)
            for topic, seq in head.topics.items()
        )

    def advance(self, base: int) -> None:
        """Everything up to here is complete."""
        if self.base is None or base > self.base:
            self.base = base
            self.last = {topic: seq for topic, seq in self.last.items() if seq > base}
            self.figures.position = base
