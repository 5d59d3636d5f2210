"""The market data stream: its connections, the snapshots they ask for, the ticks they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from libs.upstox.feed_messages import INITIAL_FEED, LIVE_FEED
from services.exchange_sim.faults.plan import FaultPlan
from services.exchange_sim.feed import encode
from services.exchange_sim.feed.connections import MARKET, SentLog, SentTick, StreamConnection
from services.exchange_sim.feed.subscriptions import Subscriptions
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.quotes import Quote
from services.exchange_sim.market.sessions import Phase

#: A tick on its way out: key, quote, and its feed message by mode, encoded when first wanted.
Tick = tuple[str, Quote, dict[str, bytes]]


class MarketConnection(StreamConnection):
    """One client's market data."""

    def __init__(self, number: int, request: web.Request, stream: MarketStream, log: SentLog, **limits: Any) -> None:
        super().__init__(number, MARKET, request, stream.faults, log, **limits)
        self._market_stream = stream
        self.subscriptions = Subscriptions(stream.market.listing)

    async def on_message(self, data: bytes | str) -> None:
        """Carry out a subscription command and send its snapshot."""
        keys = self.subscriptions.apply(data)
        self._market_stream.subscriptions_changed()
        if keys:
            self._market_stream.send_snapshot(self, keys)

    def describe(self) -> dict[str, Any]:
        """Say what is known about the connection, for `/_sim/state`."""
        return super().describe() | {
            "subscriptions": self.subscriptions.counts(),
            "refused": self.subscriptions.refused,
            "ticks_recorded": len(self.sent.records),
        }


class MarketStream:
    """Sends ticks to whoever subscribed."""

    def __init__(self, market: Market, faults: FaultPlan, *, ticks_per_frame_max: int) -> None:
        self.market = market
        self.faults = faults
        self.connections: list[MarketConnection] = []
        self._ticks_per_frame_max = ticks_per_frame_max
        self._watched: dict[str, int] | None = None

    def watched(self) -> dict[str, int]:
        """Give the keys anybody subscribed to, with the depth levels they want."""
        if self._watched is None:
            self._watched = {}
            for connection in self.connections:
                for key, mode in connection.subscriptions.modes.items():
                    levels = 30 if mode == "full_d30" else 5
                    self._watched[key] = max(levels, self._watched.get(key, 0))
        return self._watched

    def subscriptions_changed(self) -> None:
        """Forget what was known about who wants what."""
        self._watched = None

    def add(self, connection: MarketConnection) -> None:
        """Welcome a connection with the state of the market."""
        now_ms = self.market.now_ms()
        connection.push(encode.market_info_frame(self.market.phase(now_ms), self._stamp(now_ms), now_ms))
        self.connections.append(connection)
        self.subscriptions_changed()

    def remove(self, connection: MarketConnection) -> None:
        """Forget a connection."""
        self.connections.remove(connection)
        self.subscriptions_changed()

    def send_snapshot(self, connection: MarketConnection, keys: Sequence[str]) -> None:
        """Answer a subscription with the present state of its keys."""
        now_ms = self.market.now_ms()
        ticks: list[Tick] = []
        for key in keys:
            levels = 30 if connection.subscriptions.modes[key] == "full_d30" else 5
            ticks.append((key, self.market.quote(self.market.listing.by_key[key], now_ms, levels), {}))
        self._send(connection, ticks, INITIAL_FEED, now_ms)

    def send_phase(self, phase: Phase, now_ms: int) -> None:
        """Tell everybody that the market opened, closed, or the like."""
        payload = encode.market_info_frame(phase, self._stamp(now_ms), now_ms)
        for connection in self.connections:
            connection.push(payload)

    def send_ticks(self, ticks: Sequence[Tick], now_ms: int) -> None:
        """Send each connection the ticks it subscribed to, in its mode."""
        for connection in self.connections:
            self._send(connection, ticks, LIVE_FEED, now_ms)

    def _send(self, connection: MarketConnection, ticks: Sequence[Tick], kind: int, now_ms: int) -> None:
        skew_ms = self.skew_ms()
        modes = connection.subscriptions.modes
        for group in self._frames(tick for tick in ticks if tick[0] in modes):
            feeds: list[tuple[str, bytes]] = []
            sent: list[SentTick] = []
            for key, quote, encoded in group:
                mode = modes[key]
                if mode not in encoded:
                    encoded[mode] = encode.encode_feed(quote, mode, skew_ms)
                feeds.append((key, encoded[mode]))
                sent.append((key, quote.trade_time_ms + skew_ms, quote.price, quote.volume_day))
            connection.push(encode.frame(kind, feeds, self._stamp(now_ms)), sent)

    def _frames(self, ticks: Iterable[Tick]) -> Iterable[list[Tick]]:
        """Split ticks into frames: not too many in one, and a key only once, because a frame is a map."""
        group: dict[str, Tick] = {}
        for tick in ticks:
            if tick[0] in group or len(group) == self._ticks_per_frame_max:
                yield list(group.values())
                group = {}
            group[tick[0]] = tick
        if group:
            yield list(group.values())

    def skew_ms(self) -> int:
        """Say how wrong the exchange's clock is made to be."""
        skew = self.faults.in_force("clock_skew")
        return int(skew.parameters["offset_ms"]) if skew else 0

    def _stamp(self, now_ms: int) -> int:
        return now_ms + self.skew_ms()
