"""Frames of the market feed V3 to quotes, straight from the protobuf: no dictionaries on the way.

The exchange's trade time, price, cumulative volume and best prices are taken; a quote without trade time or price says
nothing and is left out. Zero and absent are the same on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.contracts.feed import Frame, FrameKind
from libs.contracts.market import Tick
from libs.upstox.feed_messages import INITIAL_FEED, MARKET_INFO, feed_messages

#: Beyond any trade, and still an instant that can be stored in microseconds.
_TIME_MAX_MS = 2**52


class FrameDecoder:
    """Decodes frames for one exchange; `symbols` names the instruments, others come under their key."""

    def __init__(self, symbols: Mapping[str, str], exchange: str) -> None:
        self._symbols = symbols
        self._exchange = exchange
        self._parse = feed_messages().FeedResponse.FromString
        self._book: dict[str, tuple[float | None, float | None]] = {}

    def forget(self) -> None:
        """Begin a connection: the books seen so far are old."""
        self._book.clear()

    def decode(self, data: bytes, received_us: int) -> Frame:
        """Give the frame; raises whatever protobuf raises for bytes that are none."""
        response = self._parse(data)
        exchange_us = response.currentTs * 1000
        if response.type == MARKET_INFO:
            return Frame(exchange_us, received_us, [], FrameKind.STATUS)
        ticks = []
        feeds = response.feeds
        for key in feeds:  # its items() are made in Python, at a tenth of the whole
            tick = self._tick(key, feeds[key], received_us)
            if tick is not None:
                ticks.append(tick)
        kind = FrameKind.SNAPSHOT if response.type == INITIAL_FEED else FrameKind.LIVE
        return Frame(exchange_us, received_us, ticks, kind)

    def _tick(self, key: str, feed: Any, received_us: int) -> Tick | None:
        bid = ask = interest = None
        volume_day = 0
        # What is absent reads as empty, so the most frequent kind is told by its trade time: asking for the union's
        # name costs more than reading the price.
        body = feed.fullFeed.marketFF
        ltpc = body.ltpc
        if ltpc.ltt:
            volume_day = body.vtt
            interest = body.oi or None
            book = body.marketLevel.bidAskQuote
            # A frame without its book leaves the book as it was.
            if book:
                best = book[0]
                bid, ask = best.bidP or None, best.askP or None
                self._book[key] = bid, ask
            else:
                bid, ask = self._book.get(key, (None, None))
        else:
            union = feed.WhichOneof("FeedUnion")
            if union == "firstLevelWithGreeks":
                body = feed.firstLevelWithGreeks
                ltpc = body.ltpc
                volume_day = body.vtt
                interest = body.oi or None
                bid, ask = body.firstDepth.bidP or None, body.firstDepth.askP or None
            elif union == "fullFeed":
                ltpc = feed.fullFeed.indexFF.ltpc
            else:
                ltpc = feed.ltpc
        traded_ms, price = ltpc.ltt, ltpc.ltp
        if not 0 < traded_ms < _TIME_MAX_MS:
            if not traded_ms:
                return None
            traded_ms = _TIME_MAX_MS if traded_ms > 0 else 1  # no instant; refused as what it is, not for its size
        symbol = self._symbols.get(key, key)
        return Tick(symbol, traded_ms * 1000, price, 0, bid, ask, volume_day, 0, self._exchange, received_us, interest)
