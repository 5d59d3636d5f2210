"""The market feed: the SDK's streamer with its reconnecting, its dictionaries and its open doors taken out.

The SDK's part that stays is the subscription's encoding, the authorisation header and the socket's life. Callbacks run
on the socket's thread and only enqueue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import upstox_client
from upstox_client.feeder.market_data_feeder_v3 import MarketDataFeederV3

from libs.core.clock import Clock
from libs.upstox.connection import LostOnce, make_socket
from libs.upstox.session import BrokerSession

_PATH = "/v3/feed/market-data-feed"
#: The broker takes no more in one message than it allows in all; smaller ones keep each well below any frame limit.
_KEYS_PER_REQUEST = 500
#: How many keys one connection may have by mode, alone.
KEYS_MAX = {"full": 2000, "option_greeks": 3000, "full_d30": 50}


class _Feeder(MarketDataFeederV3):  # type: ignore[misc]  # the SDK ships no types
    """Connects to our address, verified, pinging, on a daemon thread with a name."""

    def __init__(self, session: BrokerSession, ping_interval_s: int, **handlers: Any) -> None:
        super().__init__(api_client=session.client, **handlers)
        self._session = session
        self._ping_interval_s = ping_interval_s
        self._on_pong: Callable[..., None] | None = None

    def on_pong(self, do: Callable[..., None]) -> None:
        self._on_pong = do

    def connect(self) -> None:
        self.ws = make_socket(
            self._session, _PATH, "upstox-market-feed", self._ping_interval_s, on_open=self.on_open,
            on_message=self.on_message, on_error=self.on_error, on_close=self.on_close, on_pong=self._on_pong,
        )  # fmt: skip
        self.ws.thread.start()


class MarketStreamer(LostOnce, upstox_client.MarketDataStreamerV3):  # type: ignore[misc]  # the SDK ships no types
    """One connection, once: made, opened, lost. A new one needs a new streamer.

    `on_opened()`, `on_frame(bytes, received_us)`, `on_pong()` and `on_lost(detail, refused)` are called on the socket's
    thread; `on_lost` once.
    """

    def __init__(
        self,
        session: BrokerSession,
        clock: Clock,
        *,
        ping_interval_s: int,
        on_opened: Callable[[], None],
        on_frame: Callable[[bytes, int], None],
        on_pong: Callable[[], None],
        on_lost: Callable[[str, bool], None],
    ) -> None:
        super().__init__(session.client)
        self.auto_reconnect(False)
        self._clock = clock
        self._opened, self._frame, self._pong = on_opened, on_frame, on_pong
        self.prepare(on_lost)
        self._session = session
        self._ping_interval_s = ping_interval_s

    def connect(self) -> None:
        """Read the credentials anew and begin to connect; what becomes of it is told by the callbacks."""
        self._session.authorize()
        self.feeder = _Feeder(
            self._session, self._ping_interval_s, on_open=self.handle_open, on_message=self.handle_message,
            on_error=self.handle_error, on_close=self.handle_close,
        )  # fmt: skip
        self.feeder.on_pong(self.handle_pong)
        self.feeder.connect()

    def subscribe_all(self, keys: Sequence[str], mode: str) -> None:
        """Ask for instruments; no answer comes but their quotes."""
        for start in range(0, len(keys), _KEYS_PER_REQUEST):
            self.feeder.subscribe(list(keys[start : start + _KEYS_PER_REQUEST]), mode)

    def unsubscribe_all(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), _KEYS_PER_REQUEST):
            self.feeder.unsubscribe(list(keys[start : start + _KEYS_PER_REQUEST]))

    def handle_open(self, _ws: Any) -> None:
        self._opened()

    def handle_message(self, _ws: Any, message: bytes) -> None:
        self._frame(message, self._clock.now_us())

    def handle_pong(self, _ws: Any, _data: Any) -> None:
        self._pong()
