"""Figures of the bus: plain counters, read by whoever publishes telemetry."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class StreamSent:
    """One stream as its publisher sees it.

    `unwanted` were not encoded, because nobody had asked for their topic. `dropped` did not reach at least one
    subscriber, whose queue was full.
    """

    published: int = 0
    sent: int = 0
    unwanted: int = 0
    dropped: int = 0
    seq: int = 0


@dataclass(slots=True)
class PublisherMetrics:
    """A publisher's figures."""

    streams: dict[str, StreamSent] = field(default_factory=dict)
    subscriptions: int = 0
    syncs: int = 0
    heads: int = 0
    replays: int = 0
    replayed: int = 0
    replays_refused: int = 0
    malformed: int = 0

    def snapshot(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class StreamReceived:
    """One stream as its subscriber sees it. `lag_us` is from publication to reading, of the last message read."""

    received: int = 0
    delivered: int = 0
    repeated: int = 0
    gaps: int = 0
    replays: int = 0
    replayed: int = 0
    lost_ranges: int = 0
    epochs: int = 0
    position: int = 0
    head: int = 0
    lag_us: int = 0
    lag_us_max: int = 0

    def count(self, lag_us: int) -> None:
        self.received += 1
        self.lag_us = lag_us
        if lag_us > self.lag_us_max:  # noqa: PLR1730  # twice as quick as max(), and it is done for every message
            self.lag_us_max = lag_us


@dataclass(slots=True)
class SubscriberMetrics:
    """A subscriber's figures."""

    streams: dict[str, StreamReceived] = field(default_factory=dict)
    joins: int = 0
    syncs_unanswered: int = 0
    replays_unanswered: int = 0
    overflows: int = 0
    malformed: int = 0
    unknown: int = 0

    def snapshot(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class CommandMetrics:
    """A command server's figures."""

    done: int = 0
    refused: int = 0
    failed: int = 0
    expired: int = 0
    repeated: int = 0
    malformed: int = 0

    def snapshot(self) -> dict[str, Any]:
        return asdict(self)
