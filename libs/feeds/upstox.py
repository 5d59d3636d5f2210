"""The broker's market feed as a source: frames decoded on the socket's thread, handed over through a bounded queue."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence

from google.protobuf.message import DecodeError

from libs.contracts.feed import FeedConnected, FeedDamaged, FeedEvent, FeedLost, FeedPong
from libs.core.clock import Clock
from libs.feeds.subscriptions import Subscriptions
from libs.settings.feed import Feed as Settings
from libs.upstox.decoding import FrameDecoder
from libs.upstox.feed import KEYS_MAX, MarketStreamer
from libs.upstox.session import BrokerSession

_RAW_BYTES_KEPT = 4096


class UpstoxFeed:
    """One connection at a time. `keys` maps each symbol there is to the broker's instrument key."""

    def __init__(
        self, session: BrokerSession, settings: Settings, clock: Clock, keys: Mapping[str, str], exchange: str
    ) -> None:
        self.symbols_max = KEYS_MAX[settings.mode]
        self._session = session
        self._settings = settings
        self._clock = clock
        self._exchange = exchange
        self._symbol_of = {key: symbol for symbol, key in keys.items()}
        self._subscriptions = Subscriptions(keys, self.symbols_max)
        self._link: _Link | None = None
        self._wake: Callable[[], None] = lambda: None

    def connect(self) -> None:
        self.disconnect()
        link = _Link(self)
        self._link = link
        link.streamer.connect()

    def subscribe(self, symbols: Sequence[str]) -> None:
        keys = self._subscriptions.add(symbols)
        if keys and self._link is not None and self._link.is_open:
            self._link.streamer.subscribe_all(keys, self._settings.mode)

    def unsubscribe(self, symbols: Sequence[str]) -> None:
        keys = self._subscriptions.remove(symbols)
        if keys and self._link is not None and self._link.is_open:
            self._link.streamer.unsubscribe_all(keys)

    def symbols(self) -> frozenset[str]:
        return self._subscriptions.symbols()

    def poll(self, limit: int) -> list[FeedEvent]:
        return self._link.take(limit) if self._link is not None else []

    def waiting(self) -> int:
        return self._link.queue.qsize() if self._link is not None else 0

    def on_event(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.abandon()

    def close(self) -> None:
        self.disconnect()
        self._session.close()

    def new_streamer(self, link: _Link) -> MarketStreamer:
        return MarketStreamer(
            self._session, self._clock, ping_interval_s=self._settings.ping_interval_s, on_opened=link.opened,
            on_frame=link.frame, on_pong=link.pong, on_lost=link.lost,
        )  # fmt: skip

    def new_decoder(self) -> FrameDecoder:
        return FrameDecoder(self._symbol_of, self._exchange)

    def new_queue(self) -> queue.Queue[FeedEvent]:
        # Room for one more is kept for the word that the connection is over.
        return queue.Queue(self._settings.queue_frames_max + 1)

    def wake(self) -> None:
        self._wake()

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def clock(self) -> Clock:
        return self._clock

    def subscribe_everything(self, streamer: MarketStreamer) -> None:
        streamer.subscribe_all(self._subscriptions.keys(), self._settings.mode)


class _Link:
    """One connection: what its thread says goes into a queue of its own, so that an old one never mixes with a new."""

    def __init__(self, feed: UpstoxFeed) -> None:
        self._feed = feed
        self._decoder = feed.new_decoder()
        self._overflowed = False
        self.is_open = False
        self.queue = feed.new_queue()
        self.streamer = feed.new_streamer(self)

    def take(self, limit: int) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        try:
            while len(events) < limit:
                events.append(self.queue.get_nowait())
        except queue.Empty:
            return events
        return events

    def abandon(self) -> None:
        self._overflowed = True  # its thread enqueues nothing any more
        self.streamer.close()

    # What follows runs on the socket's thread.

    def opened(self) -> None:
        self.is_open = True
        self._feed.subscribe_everything(self.streamer)
        self._put(FeedConnected(self._feed.clock.now_us()))

    def frame(self, data: bytes, received_us: int) -> None:
        if self._overflowed:
            return
        event: FeedEvent
        try:
            event = self._decoder.decode(data, received_us)
        except (DecodeError, TypeError, ValueError) as e:
            event = FeedDamaged(received_us, f"{len(data)} bytes: {e}", bytes(data[:_RAW_BYTES_KEPT]))
        self._put(event)

    def pong(self) -> None:
        self._put(FeedPong(self._feed.clock.now_us()))

    def lost(self, detail: str, refused: bool) -> None:  # noqa: FBT001  # a callback's shape
        self.is_open = False
        self._put(FeedLost(self._feed.clock.now_us(), "disconnect", detail, refused))

    def _put(self, event: FeedEvent) -> None:
        """Enqueue, waiting for room for a while: the broker's side buffers meanwhile. Then give the connection up."""
        if self._overflowed:
            return
        try:
            if self.queue.qsize() >= self._feed.settings.queue_frames_max and not isinstance(event, FeedLost):
                self._wait_for_room()
            self.queue.put_nowait(event)
        except queue.Full:
            self._overflowed = True
            self.is_open = False
            detail = f"{self._feed.settings.queue_frames_max} frames waited for {self._feed.settings.queue_wait_ms} ms"
            self.queue.put_nowait(FeedLost(self._feed.clock.now_us(), "overflow", detail))
            self.streamer.close()
        self._feed.wake()

    def _wait_for_room(self) -> None:
        clock, settings = self._feed.clock, self._feed.settings
        end_ns = clock.monotonic_ns() + settings.queue_wait_ms * 1_000_000
        while self.queue.qsize() >= settings.queue_frames_max:
            if clock.monotonic_ns() >= end_ns or self._overflowed:
                raise queue.Full
            self._feed.wake()
            clock.sleep(0.005)
