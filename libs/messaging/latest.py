"""Latest wins: for screens, which want the newest of each topic and not what they were too slow for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from libs.contracts.bus import Heads
from libs.messaging.codec import Codec, Received, UnknownPayload
from libs.messaging.errors import MalformedMessage
from libs.messaging.metrics import StreamReceived, SubscriberMetrics
from libs.messaging.wires import FollowerWire


class LatestFollower:
    """One owner's streams without joining, order or replay."""

    joined = True

    def __init__(
        self, wire: FollowerWire, streams: Mapping[str, Sequence[str]], *, metrics: SubscriberMetrics,
        deliver: Callable[[Received], None],
    ) -> None:  # fmt: skip
        self._wire = wire
        self._prefixes = tuple(prefix for prefixes in streams.values() for prefix in prefixes)
        self._metrics = metrics
        self._deliver = deliver
        self._codec = Codec()

    def start(self, _now_ns: int) -> None:
        for prefix in self._prefixes:
            self._wire.subscribe(prefix)

    def on_time(self, now_ns: int) -> None:
        """Nothing is ever due."""

    def on_reply(self, _body: bytes) -> None:
        self._metrics.malformed += 1  # nothing was asked

    def on_message(self, topic_bytes: bytes, body: bytes, now_us: int) -> None:
        """Take in one message off the wire."""
        try:
            topic, envelope = self._codec.decode(topic_bytes, body)
        except UnknownPayload:
            self._metrics.unknown += 1
            return
        except MalformedMessage:
            self._metrics.malformed += 1
            return
        if type(envelope.payload) is Heads or not topic.startswith(self._prefixes):
            self._metrics.malformed += 1
            return
        figures = self._metrics.streams.setdefault(envelope.stream, StreamReceived())
        figures.count(now_us - envelope.published_us)
        self._deliver(Received(topic, envelope))

    def positions(self) -> dict[str, int]:
        return {}
