"""A store's outbox as the bus reads it: replays of what an owner told come from what it stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from libs.core.clock import day_start_us, trading_date
from libs.dbaccess.outbox import Outbox
from libs.messaging import Record


class OutboxSource:
    """Answers replays; `now_us` says which day is today."""

    def __init__(self, outbox: Outbox, now_us: Callable[[], int]) -> None:
        self._outbox = outbox
        self._now_us = now_us

    @property
    def streams(self) -> Collection[str]:
        return self._outbox.streams

    def head(self, stream: str) -> int:
        return self._outbox.head(stream)

    def oldest(self, stream: str) -> int:
        return self._outbox.oldest(stream)

    def opening(self, stream: str) -> int:
        return self._outbox.opening(stream, day_start_us(trading_date(self._now_us())))

    def read(self, stream: str, topics: Sequence[str], after_seq: int, upto_seq: int, limit: int) -> Iterable[Record]:
        for message in self._outbox.read(stream, topics, after_seq, upto_seq, limit):
            yield Record(
                message.topic, message.seq, msgspec.Raw(message.payload), message.timestamp_us, message.recorded_us,
                message.prev,
            )  # fmt: skip
