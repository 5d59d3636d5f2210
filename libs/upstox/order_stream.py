"""The portfolio stream: the SDK's streamer with its own address and its unverified connection taken out.

What comes is a hint. The stream has no numbers and no replay: what it lost is found by reading the books.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import upstox_client
from upstox_client.feeder.portfolio_data_feeder import PortfolioDataFeeder

from libs.upstox.connection import LostOnce, make_socket
from libs.upstox.orders import OrderRow
from libs.upstox.session import BrokerSession

_PATH = "/v2/feed/portfolio-stream-feed?update_types=order"


class _Event(msgspec.Struct):
    update_type: str = ""


class _Feeder(PortfolioDataFeeder):  # type: ignore[misc]  # the SDK ships no types
    """Connects to our address, verified and pinging."""

    def __init__(self, session: BrokerSession, ping_interval_s: int, on_pong: Any, **handlers: Any) -> None:
        super().__init__(api_client=session.client, **handlers)
        self._session = session
        self._ping_interval_s = ping_interval_s
        self._on_pong = on_pong

    def connect(self) -> None:
        self.ws = make_socket(
            self._session, _PATH, "upstox-orders", self._ping_interval_s, on_open=self.on_open,
            on_message=self.on_message, on_error=self.on_error, on_close=self.on_close, on_pong=self._on_pong,
        )  # fmt: skip
        self.ws.thread.start()


class OrderStreamer(LostOnce, upstox_client.PortfolioDataStreamer):  # type: ignore[misc]  # the SDK ships no types
    """One connection, once. The callbacks are called on the socket's thread; `on_lost` once."""

    def __init__(
        self, session: BrokerSession, *, ping_interval_s: int, on_opened: Callable[[], None],
        on_order: Callable[[OrderRow], None], on_alive: Callable[[], None], on_lost: Callable[[str, bool], None],
    ) -> None:  # fmt: skip
        super().__init__(session.client)
        self.auto_reconnect(False)
        self.prepare(on_lost)
        self._opened, self._order, self._alive = on_opened, on_order, on_alive
        self._session = session
        self._ping_interval_s = ping_interval_s
        self.damaged = 0

    def connect(self) -> None:
        """Read the credentials anew and begin to connect; what becomes of it is told by the callbacks."""
        self._session.authorize()
        self.feeder = _Feeder(
            self._session, self._ping_interval_s, self.handle_pong, on_open=self.handle_open,
            on_message=self.handle_message, on_error=self.handle_error, on_close=self.handle_close,
        )  # fmt: skip
        self.feeder.connect()

    def handle_open(self, _ws: Any) -> None:
        self._opened()

    def handle_message(self, _ws: Any, message: str | bytes) -> None:
        self._alive()
        try:
            if msgspec.json.decode(message, type=_Event).update_type == "order":
                self._order(msgspec.json.decode(message, type=OrderRow, strict=False))
        except (msgspec.ValidationError, msgspec.DecodeError):
            self.damaged += 1  # a hint that cannot be read: the next reading of the books has it

    def handle_pong(self, _ws: Any, _data: Any) -> None:
        self._alive()
