"""Follows the streams of one owner: joins without hole or repeat, sees gaps, has them replayed. Pure: no sockets.

The rules, per stream. `base` is the seq up to which everything that was asked for has been handed over; `last` says,
topic by topic, what was handed over beyond it. A message whose `prev` lies beyond both shows a gap, and so does a head.
Then nothing more is handed over until the owner has replayed what lies between; what arrives meanwhile is held.
Whatever looks odd (a new epoch, silence, too much to hold) ends in joining anew, which mends everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from libs.contracts.bus import Envelope, Heads, ReplayReply, ReplayRequest, StreamHead
from libs.core.ids import random_id
from libs.messaging.codec import Codec, Received, UnknownPayload, encode
from libs.messaging.errors import GapUnrecoverable, MalformedMessage
from libs.messaging.joining import Sync
from libs.messaging.metrics import StreamReceived, SubscriberMetrics
from libs.messaging.position import SKIPPED, Replay, StreamPosition
from libs.messaging.wires import FollowerWire
from libs.settings.bus import Bus

#: An owner that has not been heard for so many head intervals is joined anew.
_SILENT_HEADS = 3


class Follower:
    """One owner's streams, as one reader sees them. Hands over `Received` through `deliver`."""

    def __init__(
        self, owner: str, wire: FollowerWire, streams: Mapping[str, Sequence[str]], *, settings: Bus,
        metrics: SubscriberMetrics, deliver: Callable[[Received], None], report: Callable[[GapUnrecoverable], None],
        positions: Mapping[str, int], backfill: bool, nonces: Callable[[], str] = random_id,
    ) -> None:  # fmt: skip
        self.owner = owner
        self._wire = wire
        self._settings = settings
        self._metrics = metrics
        self._deliver = deliver
        self._report = report
        self._backfill = backfill
        self._nonces = nonces
        self._codec = Codec()
        self._sync = Sync(wire, nonces, settings.sync_timeout_ms * 1_000_000)
        self._heard = True
        self._heard_ns = 0
        self._now_ns = 0
        self._held_count = 0
        self._replies = msgspec.msgpack.Decoder(ReplayReply)
        self._streams = {
            name: StreamPosition(
                name, prefixes, positions.get(name), metrics.streams.setdefault(name, StreamReceived())
            )
            for name, prefixes in streams.items()
        }

    @property
    def joined(self) -> bool:
        return not self._sync.pending and all(stream.live for stream in self._streams.values())

    def positions(self) -> dict[str, int]:
        return {name: stream.base for name, stream in self._streams.items() if stream.base is not None}

    def start(self, now_ns: int) -> None:
        """Subscribe, topics first: the owner sees them before it answers the join."""
        self._now_ns = now_ns
        for stream in self._streams.values():
            for prefix in stream.prefixes:
                self._wire.subscribe(prefix)
            self._wire.subscribe(f"head.{stream.name}|")
        self._join()

    def on_time(self, now_ns: int) -> None:
        """Do what is due: ask again for what was not answered."""
        self._now_ns = now_ns
        if self._heard:
            self._heard, self._heard_ns = False, now_ns
        if self._sync.pending:
            if self._sync.is_late(now_ns):
                self._metrics.syncs_unanswered += 1
                self._sync.ask(now_ns)
            return
        if now_ns - self._heard_ns >= _SILENT_HEADS * self._settings.head_interval_ms * 1_000_000:
            self._join()
            return
        for stream in self._streams.values():
            replay = stream.replay
            if replay and now_ns - replay.asked_ns >= self._settings.replay_timeout_ms * 1_000_000:
                self._metrics.replays_unanswered += 1
                self._send(stream, replay)

    def on_message(self, topic_bytes: bytes, body: bytes, now_us: int) -> None:
        """Take in one message off the wire."""
        try:
            topic, envelope = self._codec.decode(topic_bytes, body)
        except UnknownPayload as e:
            self._metrics.unknown += 1
            topic, envelope = topic_bytes.decode(), e.envelope
            envelope = msgspec.structs.replace(envelope, payload=SKIPPED)
        except MalformedMessage:
            self._metrics.malformed += 1
            return
        self._heard = True
        payload = envelope.payload
        if type(payload) is Heads:
            self._on_heads(topic, payload)
            return
        stream = self._streams.get(envelope.stream)
        if stream is None or not topic.startswith(stream.prefixes):
            self._metrics.malformed += 1
            return
        stream.figures.count(now_us - envelope.published_us)
        if stream.is_next(topic, envelope):
            stream.last[topic] = envelope.seq
            stream.figures.delivered += 1
            self._deliver(Received(topic, envelope))
        else:
            self._take(stream, topic, envelope)

    def on_reply(self, body: bytes) -> None:
        """Take in one replay answer; late ones and garbage are ignored."""
        try:
            reply = self._replies.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._metrics.malformed += 1
            return
        stream = self._streams.get(reply.stream)
        replay = stream.replay if stream else None
        if stream is None or replay is None or reply.request_id != replay.request_id:
            return
        self._heard = True
        if reply.refused:
            self._lost(stream, replay.after + 1, replay.upto, reply.refused)
            self._go_live(stream, replay.upto)
        elif reply.epoch != stream.epoch:
            self._join()
        else:
            self._take_reply(stream, replay, reply)

    def _take_reply(self, stream: StreamPosition, replay: Replay, reply: ReplayReply) -> None:
        if reply.oldest > replay.after + 1:
            upto = min(reply.oldest - 1, replay.upto)
            self._lost(stream, replay.after + 1, upto, f"its journal begins at seq {reply.oldest}")
        for topic_text, body in reply.messages:
            try:
                topic, envelope = self._codec.decode(topic_text.encode(), body)
            except MalformedMessage:
                self._metrics.malformed += 1
                continue
            if topic.startswith(stream.prefixes):
                stream.figures.replayed += 1
                self._hand_over(stream, topic, envelope, replayed=True)
        covered = max(reply.covered_seq, reply.oldest - 1)
        if covered >= replay.upto:
            self._go_live(stream, replay.upto)
        elif covered > replay.after:
            stream.advance(covered)
            self._ask(stream, replay.upto)
        # An answer that brings nothing is asked again when its time is up: the owner may not have written it yet.

    def _take(self, stream: StreamPosition, topic: str, envelope: Envelope[Any]) -> None:
        if not stream.live:
            self._hold(stream, topic, envelope)
        elif envelope.epoch != stream.epoch:
            self._hold(stream, topic, envelope)
            self._join()
        elif envelope.prev > stream.known(topic):
            stream.figures.gaps += 1
            if stream.replayable:
                self._hold(stream, topic, envelope)
                self._ask(stream, envelope.seq - 1)
            else:
                stream.figures.lost_ranges += 1
                self._hand_over(stream, topic, envelope, replayed=False)
        else:
            self._hand_over(stream, topic, envelope, replayed=False)

    def _hand_over(self, stream: StreamPosition, topic: str, envelope: Envelope[Any], *, replayed: bool) -> None:
        fresh = stream.take(topic, envelope)
        if fresh is None:
            stream.figures.repeated += 1
        elif fresh.payload is not SKIPPED:
            stream.figures.delivered += 1
            self._deliver(Received(topic, fresh, replayed))

    def _hold(self, stream: StreamPosition, topic: str, envelope: Envelope[Any]) -> None:
        self._held_count += 1
        if self._held_count > self._settings.buffer_messages_max:
            # Joining anew asks the journal for all of it, so nothing is lost by letting go.
            self._metrics.overflows += 1
            for each in self._streams.values():
                each.held.clear()
            self._held_count = 0
            self._join()
        else:
            stream.held.append((topic, envelope))

    def _on_heads(self, topic: str, heads: Heads) -> None:
        if self._sync.answers(topic):
            self._on_sync(heads)
            return
        if self._sync.pending or not topic.startswith("head."):
            return
        for head in heads.heads:
            stream = self._streams.get(head.stream)
            if stream is None or not stream.live:
                continue
            if head.epoch != stream.epoch:
                self._join()
                return
            self._check_head(stream, head)

    def _check_head(self, stream: StreamPosition, head: StreamHead) -> None:
        base = stream.base or 0
        stream.figures.head = head.seq
        if head.seq <= base:
            return
        missed = stream.missed(head)
        if missed:
            stream.figures.gaps += 1
        if missed and stream.replayable:
            self._ask(stream, head.seq)
            return
        stream.figures.lost_ranges += missed
        stream.advance(head.seq)

    def _join(self) -> None:
        """Begin again: nothing is handed over until the owner has said where it is."""
        self._sync.forget()
        self._metrics.joins += 1
        for stream in self._streams.values():
            stream.live = False
            stream.replay = None
        self._sync.ask(self._now_ns)

    def _on_sync(self, heads: Heads) -> None:
        self._sync.forget()
        known = {head.stream: head for head in heads.heads}
        for stream in self._streams.values():
            head = known.get(stream.name) or StreamHead(stream.name, "", 0, replayable=False)
            self._begin(stream, head)
            if self._sync.pending:
                return  # flushing what was held led to another join

    def _begin(self, stream: StreamPosition, head: StreamHead) -> None:
        # What is held from an earlier life of the owner lies below the head, and is replayed.
        stream.held = deque(item for item in stream.held if item[1].epoch == head.epoch)
        self._held_count = sum(len(each.held) for each in self._streams.values())
        stream.figures.epochs += bool(stream.epoch) and stream.epoch != head.epoch
        stream.epoch = head.epoch
        stream.replayable = head.replayable
        stream.figures.head = head.seq
        if not head.replayable:
            stream.last.clear()
            stream.base = None
            self._go_live(stream, head.seq)
            return
        if stream.base is None:
            stream.base = min(head.opening, head.seq) if self._backfill else head.seq
        elif stream.base > head.seq:
            self._lost(stream, head.seq + 1, stream.base, f"the owner's journal begins anew and ends at {head.seq}")
            stream.last.clear()
            stream.base = min(head.opening, head.seq)
        if stream.base < head.seq:
            self._ask(stream, head.seq)
        else:
            self._go_live(stream, head.seq)

    def _ask(self, stream: StreamPosition, upto: int) -> None:
        after = stream.base or 0
        stream.live = False
        stream.figures.replays += 1
        stream.replay = Replay(self._nonces(), after, upto, self._now_ns)
        self._send(stream, stream.replay)

    def _send(self, stream: StreamPosition, replay: Replay) -> None:
        replay.asked_ns = self._now_ns
        request = ReplayRequest(replay.request_id, stream.name, list(stream.prefixes), replay.after, replay.upto)
        self._wire.request(encode(request))

    def _lost(self, stream: StreamPosition, first: int, last: int, why: str) -> None:
        stream.figures.lost_ranges += 1
        self._report(GapUnrecoverable(owner=self.owner, stream=stream.name, from_seq=first, upto_seq=last, why=why))

    def _go_live(self, stream: StreamPosition, base: int) -> None:
        stream.advance(base)
        stream.replay = None
        stream.live = True
        held, stream.held = stream.held, deque()
        self._held_count -= len(held)
        for topic, envelope in held:
            self._take(stream, topic, envelope)
