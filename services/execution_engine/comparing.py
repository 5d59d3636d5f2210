"""When the broker's books are read and compared: at the start, after a reconnect, on a timer, on command."""

from __future__ import annotations

from libs.brokers.interface import Broker
from libs.core.clock import Clock
from libs.core.errors import FleetError
from libs.orders.reconcile import BrokerBook
from libs.runtime.logs import get_logger
from services.execution_engine.reconciliation import Reconciler

#: How long after a failed reading it is tried again, while there was none yet.
_AGAIN_S = 2


class Comparing:
    """Asks the broker for its books, once at a time. Until the first comparison nothing new is begun."""

    def __init__(self, broker: Broker, reconciler: Reconciler, clock: Clock, *, interval_s: int) -> None:
        self._broker = broker
        self._reconciler = reconciler
        self._clock = clock
        self._interval_s = interval_s
        self._is_under_way = False
        self._asked = ""
        self._last_ns = self._read_ns = clock.monotonic_ns()
        self.failures = 0

    @property
    def is_done_once(self) -> bool:
        """Whether our books were held against the broker's since the start."""
        return self._reconciler.is_done_once

    def on_time(self) -> None:
        """Compare when it is due."""
        if self._broker.take_reconnected():
            self.begin("reconnect")
        self._reconciler.ages((self._clock.monotonic_ns() - self._read_ns) // 1000)
        wait_s = self._interval_s if self.is_done_once else _AGAIN_S
        if self._clock.monotonic_ns() - self._last_ns >= wait_s * 1_000_000_000:
            self.begin("timer" if self.is_done_once else "start")

    def begin(self, cause: str) -> None:
        """Read and compare; a wish that comes meanwhile is fulfilled afterwards."""
        if self._is_under_way:
            self._asked = cause
            return
        self._is_under_way, self._asked = True, ""
        self._last_ns = self._clock.monotonic_ns()
        self._read(cause, self._clock.now_us(), is_second=False)

    def _read(self, cause: str, started_us: int, *, is_second: bool) -> None:
        asked_ns = self._clock.monotonic_ns()
        self._reconciler.begins()
        self._broker.read_book(lambda found: self._take(found, cause, started_us, asked_ns, is_second=is_second))

    def _take(
        self, found: BrokerBook | FleetError, cause: str, started_us: int, asked_ns: int, *, is_second: bool
    ) -> None:
        if isinstance(found, FleetError):
            self.failures += 1
            get_logger().warning("engine.broker_unreachable", cause=cause, detail=str(found))
            self._reconciler.failed(cause, started_us, found)
        else:
            self._read_ns = asked_ns
            done = self._reconciler.take(found, cause, started_us, funds_paise=found.funds_paise)
            if done.again and not is_second:
                # What differs for the first time may be a request on its way: look once more before believing it.
                self._read(cause, started_us, is_second=True)
                return
        self._is_under_way = False
        if self._asked:
            self.begin(self._asked)
