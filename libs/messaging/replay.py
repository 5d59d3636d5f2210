"""The owner's side of a replay: what its journal must offer, and the answers to those who missed something."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

import msgspec

from libs.contracts.bus import SCHEMA_VERSION, Envelope, ReplayReply, ReplayRequest, TickBatch
from libs.contracts.topics import FAMILIES, prefix, split, topic
from libs.core.clock import Clock
from libs.core.errors import FleetError
from libs.messaging.codec import encode
from libs.messaging.metrics import PublisherMetrics
from libs.settings.bus import Bus

_TOPICS_MAX = 5000


class Record(msgspec.Struct, frozen=True):
    """One journalled message, as it was or would have been published."""

    topic: str
    seq: int
    payload: Any
    event_us: int = 0
    received_us: int = 0
    prev: int = 0


class ReplaySource(Protocol):
    """An owner's journal (or store) as the bus reads it."""

    @property
    def streams(self) -> Collection[str]:
        """The streams it can give again."""
        ...

    def head(self, stream: str) -> int:
        """The last seq in the journal, 0 when there is none."""
        ...

    def oldest(self, stream: str) -> int:
        """The lowest seq `read` can still give; one above the head when it holds nothing."""
        ...

    def opening(self, stream: str) -> int:
        """The seq after which today's messages begin."""
        ...

    def read(self, stream: str, topics: Sequence[str], after_seq: int, upto_seq: int, limit: int) -> Iterable[Record]:
        """Records with after_seq < seq <= upto_seq whose topic starts with one of `topics`, by seq, at most `limit`.

        It is called from whoever pumps the publisher, and should be quick about each chunk. Ticks are given one by one
        under `tick.<exchange>.<symbol>|`; the bus makes batches of them where those are wanted.
        """
        ...


class ReplayServer:
    """Answers replay requests out of a source. Holds no socket and no state between requests."""

    def __init__(
        self, source: ReplaySource | None, *, epoch: str, settings: Bus, clock: Clock, metrics: PublisherMetrics
    ) -> None:
        self._source = source
        self._epoch = epoch
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._decoder = msgspec.msgpack.Decoder(ReplayRequest)

    def answer(self, body: bytes) -> bytes | None:
        """Give the reply to a request, or None for bytes that are no request."""
        try:
            request = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._metrics.malformed += 1
            return None
        try:
            reply = self._read(request)
        except FleetError as e:
            reply = self._refused(request, str(e))
        self._metrics.replays += 1
        self._metrics.replayed += len(reply.messages)
        return encode(reply)

    def _refused(self, request: ReplayRequest, why: str) -> ReplayReply:
        self._metrics.replays_refused += 1
        return ReplayReply(request.request_id, request.stream, self._epoch, refused=why)

    def _read(self, request: ReplayRequest) -> ReplayReply:
        source = self._source
        if source is None or request.stream not in source.streams:
            return self._refused(request, f"stream {request.stream!r} is not kept for replay")
        if len(request.topics) > _TOPICS_MAX:
            return self._refused(request, f"{len(request.topics)} topics in one request; at most {_TOPICS_MAX}")
        limit = min(request.limit or self._settings.replay_records_max, self._settings.replay_records_max)
        limit = max(limit, 1)
        oldest = source.oldest(request.stream)
        upto = min(request.upto_seq, source.head(request.stream))
        after = max(request.after_seq, oldest - 1)
        wanted = _Wanted(request.topics)
        messages: list[tuple[str, bytes]] = []
        batches = _Batches(self._settings.batch_ticks_max)
        count, size, covered = 0, 0, after
        # Not for nothing: a store takes no number beyond its own range, and a stranger may name any.
        found = source.read(request.stream, wanted.source_topics, after, upto, limit) if after < upto else ()
        for record in found:
            if wanted.singly(record.topic):
                messages.append((record.topic, self._envelope(request.stream, record)))
                size += len(messages[-1][1])
            if wanted.batched(record.topic):
                batches.add(record)
                size += 256
            count, covered = count + 1, record.seq
            if size > self._settings.message_bytes_max // 2:
                break
        else:
            if count < limit:
                covered = max(upto, after)
        messages += [(name, self._envelope(request.stream, record)) for name, record in batches.records()]
        return ReplayReply(request.request_id, request.stream, self._epoch, messages, covered, oldest)

    def _envelope(self, stream: str, record: Record) -> bytes:
        return encode(
            Envelope(
                SCHEMA_VERSION, stream, self._epoch, record.seq, record.prev, record.event_us, record.received_us,
                self._clock.now_us(), record.payload,
            )
        )  # fmt: skip


class _Wanted:
    """What a request asks for, in the journal's terms: batches are made of single ticks."""

    def __init__(self, topics: Sequence[str]) -> None:
        batch = tuple(text for text in topics if text.partition(".")[0] == "ticks")
        self._single = tuple(text for text in topics if text not in batch)
        self._of_batch = tuple(_single_ticks(text) for text in batch)
        self.source_topics = [*self._single, *self._of_batch]

    def singly(self, topic_text: str) -> bool:
        return topic_text.startswith(self._single)

    def batched(self, topic_text: str) -> bool:
        return topic_text.startswith(self._of_batch)


def _single_ticks(batch_prefix: str) -> str:
    exchange = batch_prefix.removeprefix("ticks.").removesuffix("|")
    return prefix("tick", exchange) if exchange and batch_prefix.endswith("|") else f"tick.{exchange}"


class _Batches:
    """Collects single ticks into batches, one run an exchange."""

    def __init__(self, ticks_max: int) -> None:
        self._ticks_max = ticks_max
        self._runs: dict[str, list[Record]] = {}

    def add(self, record: Record) -> None:
        _, parts = split(record.topic)
        self._runs.setdefault(parts["exchange"], []).append(record)

    def records(self) -> Iterator[tuple[str, Record]]:
        for exchange, run in self._runs.items():
            name = topic("ticks", exchange)
            for start in range(0, len(run), self._ticks_max):
                part = run[start : start + self._ticks_max]
                last = part[-1]
                payload = TickBatch([record.payload for record in part])
                yield name, Record(name, last.seq, payload, last.event_us, last.received_us)


def streams_of(service: str) -> list[str]:
    """Name the streams a service publishes, by the topic table."""
    named = [stream for _, stream, owner in FAMILIES.values() if owner in {service, "every service"}]
    return list(dict.fromkeys(named))
