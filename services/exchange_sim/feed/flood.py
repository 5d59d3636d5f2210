"""A flood of ticks for ingest benches: as many a second as asked, as far as the machine and the client keep up.

Building a full tick costs more than decoding one, so each frame is built once with the real encoder; then only price,
trade time, cumulative volume and frame time are written over, in place, before it is sent. Every frame is a valid
`FeedResponse`, and times and volumes rise as in a market.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, replace
from typing import Any

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


@dataclass
class _Slot:
    """One instrument's place in a frame, and where its price and volume stand now."""

    key: str
    price_at: int
    time_at: int
    volume_at: int | None
    price: float
    tick_size: float
    volume: int


class _Template:
    """One frame that is sent again and again with new values."""

    def __init__(self, quotes: list[tuple[Quote, str]], now_ms: int) -> None:
        feeds = [(quote.instrument.key, _marked_feed(quote, mode)) for quote, mode in quotes]
        self.buffer = bytearray(encode.live_frame(feeds, now_ms))
        self.slots: list[_Slot] = []
        place = 0
        for (quote, mode), (_, feed) in zip(quotes, feeds, strict=True):
            place = self.buffer.index(feed, place)
            self.slots.append(self._slot(quote, mode, feed, place))
            place += len(feed)
        # The frame's own time is the last thing in it, six bytes wide until the year 2248.
        self._stamp_at = len(self.buffer) - 6

    def _slot(self, quote: Quote, mode: str, feed: bytes, place: int) -> _Slot:
        has_volume = mode != "ltpc" and not quote.instrument.is_index
        return _Slot(
            key=quote.instrument.key,
            price_at=place + feed.index(struct.pack("<d", _PRICE_MARK)),
            time_at=place + feed.index(encode.varint(_TIME_MARK)),
            volume_at=place + feed.index(encode.varint(_VOLUME_MARK)) if has_volume else None,
            price=quote.price,
            tick_size=quote.instrument.tick_size,
            volume=quote.volume_day,
        )

    def fill(self, now_ms: int, turn: int, sent: list[SentTick] | None) -> bytes:
        """Write this turn's values and give the frame."""
        buffer = self.buffer
        stamp = encode.varint(now_ms)
        buffer[self._stamp_at :] = stamp
        for place, slot in enumerate(self.slots):
            price = round(slot.price + ((turn * 7 + place * 3) % 41 - 20) * slot.tick_size, 2)
            struct.pack_into("<d", buffer, slot.price_at, price)
            buffer[slot.time_at : slot.time_at + 6] = stamp
            slot.volume += 1 + (turn + place) % 97
            if slot.volume_at is not None:
                buffer[slot.volume_at : slot.volume_at + 5] = _five_bytes(slot.volume)
            if sent is not None:
                sent.append((slot.key, now_ms, price, slot.volume))
        return bytes(buffer)


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
        self.templates = [_Template(group, now_ms) for group in groups]
        self._market = market
        self._connection = connection
        self.ticks = self.frames = 0
        self.took_s = 0.0

    async def run(self, clock: Clock, ticks_per_second: float, duration_s: float) -> None:
        """Send frames in small bursts; the network's back-pressure slows it when the client is slower."""
        begin_ns = clock.monotonic_ns()
        keep = self._connection.sent.keep
        turn = 0
        while not self._connection.closed:
            self.took_s = (clock.monotonic_ns() - begin_ns) / 1e9
            if self.took_s >= duration_s:
                return
            due = ticks_per_second * self.took_s - self.ticks
            if due < 1:
                await asyncio.sleep(_SLICE_S / 2)
                continue
            now_ms = self._market.now_ms()
            while due >= 1 and not self._connection.closed:
                template = self.templates[turn % len(self.templates)]
                sent: list[SentTick] | None = [] if keep else None
                payload = template.fill(now_ms, turn // len(self.templates), sent)
                await self._connection.send_now(payload, len(template.slots), sent or ())
                self.ticks += len(template.slots)
                self.frames += 1
                due -= len(template.slots)
                turn += 1
            await asyncio.sleep(0)


def _marked_feed(quote: Quote, mode: str) -> bytes:
    marked = replace(quote, price=_PRICE_MARK, trade_time_ms=_TIME_MARK, volume_day=_VOLUME_MARK)
    return encode.encode_feed(marked, mode)


def _five_bytes(value: int) -> bytes:
    """Encode a number as a varint of exactly five bytes; leading zeros are allowed in one."""
    return bytes(
        (value & 127 | 128, value >> 7 & 127 | 128, value >> 14 & 127 | 128, value >> 21 & 127 | 128, value >> 28)
    )
