"""The order stream kept alive: connected anew after waits that grow, and given up when it says nothing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from libs.core.clock import Clock
from libs.core.errors import FleetError
from libs.settings.upstox import Upstox
from libs.upstox.order_stream import OrderStreamer
from libs.upstox.orders import OrderRow
from libs.upstox.session import BrokerSession

_WAIT_MIN_S, _WAIT_MAX_S = 0.5, 30.0


class OrderLink:
    """`look` is called often, in one thread; `on_order` and `on_opened` are called on the socket's."""

    def __init__(
        self, session: BrokerSession, settings: Upstox, clock: Clock, rng: Random, *,
        on_order: Callable[[OrderRow], None], on_opened: Callable[[], None],
    ) -> None:  # fmt: skip
        self._session = session
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._on_order = on_order
        self._on_opened = on_opened
        self._streamer: OrderStreamer | None = None
        self._alive_ns = 0
        self._due_ns = 0
        self._failures = 0
        self.is_open = False
        self.opened = 0
        self.last_error = ""

    def look(self) -> None:
        """Connect when it is time to, and drop what fell silent."""
        now_ns = self._clock.monotonic_ns()
        if self._streamer is None:
            if now_ns >= self._due_ns:
                self._connect(now_ns)
        elif now_ns - self._alive_ns > self._settings.stream_silence_max_s * 1_000_000_000:
            self._streamer.close()
            self._gone("nothing came, not even a pong")

    def close(self) -> None:
        """End it."""
        self._due_ns = 1 << 62
        if self._streamer is not None:
            self._streamer.close()
        self._streamer, self.is_open = None, False

    def _connect(self, now_ns: int) -> None:
        self._alive_ns = now_ns
        made = OrderStreamer(
            self._session, ping_interval_s=self._settings.stream_ping_interval_s, on_opened=self._open,
            on_order=self._on_order, on_alive=self._alive, on_lost=lambda detail, _refused: self._gone(detail),
        )  # fmt: skip
        self._streamer = made
        try:
            made.connect()
        except FleetError as e:
            self._gone(str(e))

    # What follows may run on the socket's thread.

    def _open(self) -> None:
        self._alive()
        self._failures = 0
        self.is_open = True
        self.opened += 1
        self._on_opened()

    def _alive(self) -> None:
        self._alive_ns = self._clock.monotonic_ns()

    def _gone(self, detail: str) -> None:
        self.is_open = False
        self.last_error = detail
        self._failures += 1
        wait_s = min(_WAIT_MAX_S, _WAIT_MIN_S * 2 ** min(self._failures - 1, 10)) * self._rng.uniform(0.5, 1.0)
        self._due_ns = self._clock.monotonic_ns() + int(wait_s * 1e9)
        self._streamer = None
