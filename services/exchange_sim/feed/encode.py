"""Quotes to bytes: the market feed V3 as the broker's schema has it. Zero values vanish, as in any proto3 message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from libs.upstox.feed_messages import LIVE_FEED, MARKET_INFO, REQUEST_MODES, feed_messages
from services.exchange_sim.market.candles import Candle
from services.exchange_sim.market.quotes import Quote
from services.exchange_sim.market.sessions import Phase

#: Segments the broker reports on; all follow the one simulated session.
SEGMENTS = ("NSE_EQ", "NSE_INDEX", "NSE_FO", "BSE_EQ", "BSE_INDEX")


def encode_feed(quote: Quote, mode: str, skew_ms: int = 0) -> bytes:
    """Give one instrument's `Feed` message in a mode."""
    messages = feed_messages()
    feed = messages.Feed(requestMode=REQUEST_MODES[mode])
    if mode == "ltpc":
        _fill_ltpc(feed.ltpc, quote, skew_ms)
    elif quote.instrument.is_index:
        index = feed.fullFeed.indexFF
        _fill_ltpc(index.ltpc, quote, skew_ms)
        _fill_candles(index.marketOHLC, quote)
    elif mode == "option_greeks":
        first = feed.firstLevelWithGreeks
        _fill_ltpc(first.ltpc, quote, skew_ms)
        if quote.depth:
            _fill_level(first.firstDepth, quote.depth[0])
        first.vtt = quote.volume_day
    else:
        _fill_full(feed.fullFeed.marketFF, quote, 5 if mode == "full" else 30, skew_ms)
    return bytes(feed.SerializeToString())


def frame(kind: int, feeds: Iterable[tuple[str, bytes]], now_ms: int) -> bytes:
    """Join encoded feeds to a `FeedResponse`.

    The map is written by hand, because a feed that several connections get is encoded once and only copied here.
    """
    parts = [b"\x08" + varint(kind)] if kind else []
    for key, feed in feeds:
        name = key.encode()
        entry = b"\x0a" + varint(len(name)) + name + b"\x12" + varint(len(feed)) + feed
        parts += (b"\x12", varint(len(entry)), entry)
    parts += (b"\x18", varint(now_ms))
    return b"".join(parts)


def live_frame(feeds: Iterable[tuple[str, bytes]], now_ms: int) -> bytes:
    """Make an update."""
    return frame(LIVE_FEED, feeds, now_ms)


def market_info_frame(phase: Phase, now_ms: int, changed_ms: int) -> bytes:
    """Make the message that opens a connection and goes with each change of phase."""
    messages = feed_messages()
    response = messages.FeedResponse(type=MARKET_INFO, currentTs=now_ms)
    info = response.marketInfo
    for segment in SEGMENTS:
        info.segmentStatus[segment] = messages.MarketStatus.Value(phase.value)
    if phase in {Phase.PRE_OPEN, Phase.PRE_OPEN_END}:
        status = info.preOpenSessionStatus["NSE_EQ"]
        status.status, status.updatedTime = phase.value, changed_ms
    return bytes(response.SerializeToString())


def varint(value: int) -> bytes:
    """Encode a number that is not negative."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _fill_ltpc(ltpc: Any, quote: Quote, skew_ms: int) -> None:
    ltpc.ltp = quote.price
    ltpc.ltt = quote.trade_time_ms + skew_ms
    ltpc.ltq = quote.trade_quantity
    ltpc.cp = quote.previous_close
    if quote.auction_price is not None:
        ltpc.iep.value = quote.auction_price


def _fill_full(full: Any, quote: Quote, levels: int, skew_ms: int) -> None:
    _fill_ltpc(full.ltpc, quote, skew_ms)
    if quote.depth is not None:
        book = full.marketLevel.bidAskQuote
        for level in quote.depth[:levels]:
            _fill_level(book.add(), level)
        full.tbq = float(20 * sum(level[0] for level in quote.depth[:5]))
        full.tsq = float(20 * sum(level[2] for level in quote.depth[:5]))
    full.optionGreeks.SetInParent()
    _fill_candles(full.marketOHLC, quote)
    full.atp = quote.average_price
    full.vtt = quote.volume_day
    if quote.auction_price is not None:
        full.iep = quote.auction_price


def _fill_level(level: Any, values: tuple[int, float, int, float]) -> None:
    level.bidQ, level.bidP, level.askQ, level.askP = values


def _fill_candles(message: Any, quote: Quote) -> None:
    for interval, candle in (("1d", quote.day), ("I1", quote.minute)):
        if candle is not None:
            _fill_candle(message.ohlc.add(), interval, candle)


def _fill_candle(row: Any, interval: str, candle: Candle) -> None:
    row.interval, row.ts, row.vol = interval, candle.start_ms, candle.volume
    row.open, row.high, row.low, row.close = candle.open, candle.high, candle.low, candle.close
