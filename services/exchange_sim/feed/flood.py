"""A flood of ticks for ingest benches: as many a second as asked, as far as the machine and the client keep up.

Building a full tick costs more than decoding one, so each frame is built once with the real encoder; then only price,
trade time, cumulative volume and frame time are written over, in place, before it is sent. Every frame is a valid
`FeedResponse`, and times and volumes rise as in a market.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from libs.core.clock import Clock
from libs.core.errors import Refused
from services.exchange_sim.feed import encode
from services.exchange_sim.feed.connections import SentTick
from services.exchange_sim.feed.driver import Driver
from services.exchange_sim.feed.market_stream import MarketConnection, MarketStream
from services.exchange_sim.market.quotes import Quote
from services.exchange_sim.market.sessions import Phase

TICKS_PER_FRAME_MAX = 1000
# Written where a value will be: patterns that occur nowhere else, of the width the real values get.
_PRICE_MARK = 1.234567890123e-77
_TIME_MARK = 0x1A5_C3D2_E1F7
_VOLUME_MARK = 0x3_5A7B_9D1E
_SLICE_S = 0.01


class Template:
    """One frame that is sent again and again with new values, written for all its ticks at once."""

    def __init__(self, quotes: list[tuple[Quote, str]], now_ms: int) -> None:
        feeds = [(quote.instrument.key, _marked_feed(quote, mode)) for quote, mode in quotes]
        frame = encode.live_frame(feeds, now_ms)
        self.keys = [key for key, _ in feeds]
        self._bytes = np.frombuffer(frame, dtype=np.uint8).copy()
        # The frame's own time is the last thing in it, six bytes wide until the year 2109.
        times_at = [np.arange(len(frame) - 6, len(frame))]
        prices_at: list[NDArray[np.int64]] = []
        volumes_at: list[NDArray[np.int64]] = []
        self._with_volume: list[int] = []
        place = 0
        for number, ((quote, mode), (_, feed)) in enumerate(zip(quotes, feeds, strict=True)):
            place = frame.index(feed, place)
            prices_at.append(_span(place, feed, struct.pack("<d", _PRICE_MARK)))
            times_at.append(_span(place, feed, encode.varint(_TIME_MARK)))
            if mode != "ltpc" and not quote.instrument.is_index:
                volumes_at.append(_span(place, feed, encode.varint(_VOLUME_MARK)))
                self._with_volume.append(number)
            place += len(feed)
        self._times_at = np.array(times_at)
        self._prices_at = np.array(prices_at)
        self._volumes_at = np.array(volumes_at)
        self._prices = np.array([quote.price for quote, _ in quotes])
        self._tick_sizes = np.array([quote.instrument.tick_size for quote, _ in quotes])
        self._volumes = np.array([quote.volume_day for quote, _ in quotes])
        self._places = np.arange(len(quotes))

    def fill(self, now_ms: int, turn: int, sent: list[SentTick] | None) -> bytes:
        """Write this turn's values and give the frame; what was written is appended to `sent`."""
        prices = np.round(self._prices + ((turn * 7 + self._places * 3) % 41 - 20) * self._tick_sizes, 2)
        self._volumes += 1 + (turn + self._places) % 97
        self._bytes[self._times_at] = np.frombuffer(encode.varint(now_ms), dtype=np.uint8)
        self._bytes[self._prices_at] = prices.astype("<f8").view(np.uint8).reshape(-1, 8)
        if self._with_volume:
            self._bytes[self._volumes_at] = _five_bytes(self._volumes[self._with_volume])
        if sent is not None:
            rows = zip(self.keys, prices.tolist(), self._volumes.tolist(), strict=True)
            sent.extend((key, now_ms, price, volume) for key, price, volume in rows)
        return self._bytes.tobytes()


async def flood(
    stream: MarketStream,
    driver: Driver,
    clock: Clock,
    *,
    ticks_per_second: int,
    duration_s: float,
    ticks_per_frame: int,
) -> dict[str, Any]:
    """Send each market connection its share of the ticks, for so long; give what was really sent."""
    if not 1 <= ticks_per_frame <= TICKS_PER_FRAME_MAX or ticks_per_second < 1 or duration_s <= 0:
        raise Refused(f"give ticks_per_second, duration_s above 0 and 1 to {TICKS_PER_FRAME_MAX} ticks_per_frame")
    if stream.market.phase(stream.market.now_ms()) is not Phase.OPEN:
        raise Refused("the market is closed: put the clock into the session first")
    floods = [_Flood(stream, connection, ticks_per_frame) for connection in stream.connections]
    floods = [one for one in floods if one.templates]
    if not floods:
        raise Refused("no market connection with subscriptions: connect and subscribe first")
    driver.feed_paused = True
    try:
        share = ticks_per_second / len(floods)
        await asyncio.gather(*(one.run(clock, share, duration_s) for one in floods))
    finally:
        driver.feed_paused = False
    ticks = sum(one.ticks for one in floods)
    return {
        "ticks": ticks,
        "frames": sum(one.frames for one in floods),
        "ticks_per_second": round(ticks / max(one.took_s for one in floods)),
        "asked_per_second": ticks_per_second,
        "connections": len(floods),
    }


class _Flood:
    def __init__(self, stream: MarketStream, connection: MarketConnection, ticks_per_frame: int) -> None:
        market = stream.market
        now_ms = market.now_ms()
        pairs = [
            (market.quote(market.listing.by_key[key], now_ms, 30 if mode == "full_d30" else 5), mode)
            for key, mode in connection.subscriptions.modes.items()
        ]
        groups = [pairs[start : start + ticks_per_frame] for start in range(0, len(pairs), ticks_per_frame)]
        self.templates = [Template(group, now_ms) for group in groups]
        self._market = market
        self._connection = connection
        self.ticks = self.frames = 0
        self.took_s = 0.0

    async def run(self, clock: Clock, ticks_per_second: float, duration_s: float) -> None:
        """Send frames in small bursts; the network's back-pressure slows it when the client is slower."""
        connection = self._connection
        await connection.emptied()  # what the market itself had to say goes first
        begin_ns = clock.monotonic_ns()
        turn = 0
        while not connection.closed:
            self.took_s = (clock.monotonic_ns() - begin_ns) / 1e9
            if self.took_s >= duration_s:
                return
            due = min(ticks_per_second * self.took_s - self.ticks, ticks_per_second * _SLICE_S)
            if due < 1:
                await asyncio.sleep(_SLICE_S / 2)
                continue
            now_ms = self._market.now_ms()
            while due >= 1 and not connection.closed:
                template = self.templates[turn % len(self.templates)]
                sent: list[SentTick] | None = [] if connection.sent.keep else None
                payload = template.fill(now_ms, turn // len(self.templates), sent)
                await connection.send_now(payload, len(template.keys), sent or ())
                self.ticks += len(template.keys)
                self.frames += 1
                due -= len(template.keys)
                turn += 1
            await asyncio.sleep(0)


def _marked_feed(quote: Quote, mode: str) -> bytes:
    marked = replace(quote, price=_PRICE_MARK, trade_time_ms=_TIME_MARK, volume_day=_VOLUME_MARK)
    return encode.encode_feed(marked, mode)


def _span(place: int, feed: bytes, mark: bytes) -> NDArray[np.int64]:
    start = place + feed.index(mark)
    return np.arange(start, start + len(mark))


def _five_bytes(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Encode numbers as varints of exactly five bytes; leading zeros are allowed in one."""
    groups = (values[:, None] >> np.array([0, 7, 14, 21, 28])) & 127
    groups[:, :4] |= 128
    return np.asarray(groups, dtype=np.uint8)
