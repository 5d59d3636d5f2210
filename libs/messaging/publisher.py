"""The publisher: numbers by the journal, encodes only what someone wants, never waits for anyone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from libs.contracts.bus import HEAD, SCHEMA_VERSION, SYNC, Envelope, Heads, StreamHead, TickBatch
from libs.contracts.market import Tick
from libs.contracts.topics import FAMILIES, TERMINATOR, split, topic
from libs.core.clock import Clock, SystemClock
from libs.core.ids import random_id
from libs.core.waiting import wait_a_while
from libs.messaging.codec import encode
from libs.messaging.errors import BusRefused, SequenceBroken
from libs.messaging.metrics import PublisherMetrics, StreamSent
from libs.messaging.replay import ReplayServer, ReplaySource, streams_of
from libs.messaging.wanted import Wanted
from libs.messaging.wires import PublisherWire
from libs.settings.bus import Bus
from libs.settings.model import Settings

#: How many subscriptions and requests one `pump` takes, so that a crowd of joiners cannot hold up the owner.
_SUBSCRIPTIONS_PER_PUMP, _REQUESTS_PER_PUMP = 1000, 4
_IDLE_S = 0.02


class _Stream:
    __slots__ = ("name", "replayable", "sent", "seq", "topics")

    def __init__(self, name: str, sent: StreamSent) -> None:
        self.name = name
        self.seq = 0
        self.sent = sent
        self.topics: dict[str, _Topic] = {}
        self.replayable = False


class _Topic:
    __slots__ = ("generation", "last", "stream", "wanted", "wire")

    def __init__(self, text: str, stream: _Stream) -> None:
        self.wire = text.encode()
        self.stream = stream
        self.last = 0
        self.wanted = False
        self.generation = -1


class Publisher:
    """Publishes an owner's streams and answers those who join or missed something.

    It belongs to one thread or event loop, which calls `pump()` often (or runs `run()`).
    """

    def __init__(
        self, service: str, wire: PublisherWire, *, source: ReplaySource | None, settings: Bus, clock: Clock,
        epoch: str = "",
    ) -> None:  # fmt: skip
        self.epoch = epoch or random_id()
        self.metrics = PublisherMetrics()
        self._service = service
        self._wire = wire
        self._send = wire.send
        self._source = source
        self._settings = settings
        self._clock = clock
        self._streams: dict[str, _Stream] = {}
        self._topics: dict[str, _Topic] = {}
        self._ticks: dict[str, dict[str, _Topic]] = {}
        self._wanted = Wanted(settings.subscriptions_max)
        self._next_heads_ns = 0
        self._replay = ReplayServer(
            source, epoch=self.epoch, settings=settings, clock=clock, metrics=self.metrics
        )  # fmt: skip
        for name in streams_of(service):
            self._add_stream(name)

    @classmethod
    def open(
        cls, service: str, *, settings: Settings, source: ReplaySource | None = None, clock: Clock | None = None,
        epoch: str = "",
    ) -> Self:  # fmt: skip
        """Bind the service's sockets and publish there.

        Call it only while holding the service's writer lock: a second process can bind the same ipc path without an
        error, and would take the subscribers away from the first.
        """
        from libs.messaging.sockets import PublisherSockets

        wire = PublisherSockets.bind(service, settings)
        return cls(
            service, wire, source=source, settings=settings.bus, clock=clock or SystemClock(), epoch=epoch
        )  # fmt: skip

    def prime(self, stream: str, heads_by_topic: Mapping[str, int], seq: int) -> None:
        """Say where a stream stood when its owner started: its last seq, and the last seq of each topic."""
        known = self._stream(stream)
        known.seq = seq
        known.sent.seq = seq
        for text, last in heads_by_topic.items():
            self._topic(text).last = last

    def publish(
        self, topic_text: str, payload: Any, *, seq: int | None = None, event_us: int | None = None,
        received_us: int = 0,
    ) -> int:  # fmt: skip
        """Publish one message and give its seq; the journal has it already.

        `seq` is the journal's. Streams that have no journal leave it out and are counted here.
        """
        state = self._topics.get(topic_text) or self._topic(topic_text)
        stream = state.stream
        if seq is None or seq <= stream.seq:
            seq = self._next_seq(stream, seq)
        stream.sent.published += 1
        if state.generation != self._wanted.generation:
            self._ask_wanted(state)
        if state.wanted:
            if event_us is None:
                event_us = getattr(payload, "timestamp_us", 0) or self._clock.now_us()
            self._deliver(state, seq, event_us, received_us, payload)
        else:
            stream.sent.unwanted += 1
        state.last = stream.seq = seq
        return seq

    def publish_ticks(self, exchange: str, ticks: Sequence[Tick]) -> None:
        """Publish journalled ticks of one exchange, each with its seq, rising.

        Those who want everything get them as batches; a symbol's own topic is sent only when someone asked for it.
        """
        limit = self._settings.batch_ticks_max
        for start in range(0, len(ticks), limit):
            self._publish_batch(exchange, ticks[start : start + limit])

    def _publish_batch(self, exchange: str, ticks: Sequence[Tick]) -> None:
        batch = self._topic(topic("ticks", exchange))
        stream = batch.stream
        generation = self._wanted.generation
        if batch.generation != generation:
            self._ask_wanted(batch)
        if ticks[0].seq <= stream.seq:
            raise self._broken(stream, ticks[0].seq)
        by_symbol = self._ticks.setdefault(exchange, {})
        for tick in ticks:
            state = by_symbol.get(tick.symbol)
            if state is None or state.generation != generation:
                state = by_symbol[tick.symbol] = self._topic(topic("tick", exchange, tick.symbol))
                self._ask_wanted(state)
            if state.wanted:
                self._deliver(state, tick.seq, tick.timestamp_us, tick.received_us, tick)
            state.last = tick.seq
        last = ticks[-1]
        sent = stream.sent
        sent.published += len(ticks)
        if batch.wanted:
            self._deliver(batch, last.seq, last.timestamp_us, last.received_us, TickBatch(list(ticks)))
        batch.last = stream.seq = last.seq

    def _deliver(self, state: _Topic, seq: int, event_us: int, received_us: int, payload: Any) -> None:
        stream = state.stream
        body = encode(
            Envelope(
                SCHEMA_VERSION, stream.name, self.epoch, seq, state.last, event_us, received_us,
                self._clock.now_us(), payload,
            )
        )  # fmt: skip
        if self._send(state.wire, body):
            stream.sent.sent += 1
        else:
            stream.sent.dropped += 1

    def pump(self) -> None:
        """Take in subscriptions, answer joins and replays, publish heads when due. Never waits."""
        for event in self._wire.subscriptions(_SUBSCRIPTIONS_PER_PUMP):
            self._on_subscription(event)
        for identity, body in self._wire.requests(_REQUESTS_PER_PUMP):
            reply = self._replay.answer(body)
            if reply is not None:
                self._wire.reply(identity, reply)
        now_ns = self._clock.monotonic_ns()
        if now_ns >= self._next_heads_ns:
            self._next_heads_ns = now_ns + self._settings.head_interval_ms * 1_000_000
            for stream in self._streams.values():
                stream.sent.seq = stream.seq
                self._publish_head(stream)

    async def run(self) -> None:
        """Pump for ever inside an event loop, woken by the sockets."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        descriptors = self._wire.descriptors()
        for descriptor in descriptors:
            loop.add_reader(descriptor, woken.set)
        try:
            while True:
                woken.clear()
                self.pump()
                # ZeroMQ's descriptor tells of edges, and a send may swallow one: hence the timeout.
                await wait_a_while(woken, _IDLE_S)
        finally:
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    def close(self) -> None:
        """Let go of the sockets; what is queued for living subscribers still leaves for a moment."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_subscription(self, event: bytes) -> None:
        if event[:1] not in {b"\0", b"\1"}:
            self.metrics.malformed += 1
            return
        text = event[1:].decode("utf-8", "replace")
        if text.startswith(SYNC + ".") and text.endswith(TERMINATOR):
            if event[0] == 1:
                self._answer_sync(event[1:])
            return
        self._wanted.change(text, wanted=event[0] == 1)
        self.metrics.subscriptions = len(self._wanted)

    def _answer_sync(self, sync_topic: bytes) -> None:
        self.metrics.syncs += 1
        heads = [self._head(stream, topics=False) for stream in self._streams.values()]
        self._send(sync_topic, self._control("sync", 0, Heads(heads)))

    def _publish_head(self, stream: _Stream) -> None:
        name = f"{HEAD}.{stream.name}{TERMINATOR}"
        if self._wanted(name):
            self.metrics.heads += 1
            self._send(name.encode(), self._control(stream.name, stream.seq, Heads([self._head(stream, topics=True)])))

    def _head(self, stream: _Stream, *, topics: bool) -> StreamHead:
        lasts = {text: state.last for text, state in stream.topics.items()} if topics else {}
        if self._source is None or not stream.replayable:
            return StreamHead(stream.name, self.epoch, stream.seq, stream.seq + 1, stream.seq, False, lasts)
        oldest, opening = self._source.oldest(stream.name), self._source.opening(stream.name)
        return StreamHead(stream.name, self.epoch, stream.seq, oldest, opening, True, lasts)

    def _control(self, stream: str, seq: int, payload: Heads) -> bytes:
        now_us = self._clock.now_us()
        return encode(Envelope(SCHEMA_VERSION, stream, self.epoch, seq, 0, now_us, 0, now_us, payload))

    def _next_seq(self, stream: _Stream, seq: int | None) -> int:
        if seq is None:
            if stream.replayable:
                raise BusRefused(f"stream {stream.name!r} has a journal: publish with the seq it gave")
            return stream.seq + 1
        if seq <= stream.seq:
            raise self._broken(stream, seq)
        return seq

    def _broken(self, stream: _Stream, seq: int) -> SequenceBroken:
        return SequenceBroken(
            f"stream {stream.name!r} of {self._service} is at seq {stream.seq} and was handed {seq}; "
            "the journal gives each number once, rising"
        )

    def _ask_wanted(self, state: _Topic) -> None:
        state.wanted = self._wanted(state.wire.decode())
        state.generation = self._wanted.generation

    def _stream(self, name: str) -> _Stream:
        stream = self._streams.get(name)
        if stream is None:
            raise BusRefused(f"{self._service} does not publish stream {name!r}, only {', '.join(self._streams)}")
        return stream

    def _add_stream(self, name: str) -> None:
        sent = self.metrics.streams[name] = StreamSent()
        stream = self._streams[name] = _Stream(name, sent)
        if self._source is not None and name in self._source.streams:
            stream.replayable = True
            stream.seq = self._source.head(name)

    def _topic(self, text: str) -> _Topic:
        state = self._topics.get(text)
        if state is None:
            family, _ = split(text)
            stream = self._stream(FAMILIES[family][1])
            state = self._topics[text] = stream.topics[text] = _Topic(text, stream)
        return state
