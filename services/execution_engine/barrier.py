"""The order of a minute's events where fills happen on bars: signals of a minute are decided before the next bar fills.

A bar waits until the scanner says that the minute before it is decided and every signal up to then was taken. Prices
and exits on ticks never wait, and a bar waits no longer than the time-out: going on without the word is a barrier miss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from libs.contracts.market import OHLCVBar
from libs.contracts.signals import Decided
from libs.core.clock import Clock, trading_date
from libs.dbaccess.trading import TradingStore
from services.execution_engine.signals import SignalSource


class Barrier:
    """`take` gets each bar of a minute when its turn has come."""

    def __init__(
        self, signals: SignalSource, store: TradingStore, clock: Clock, take: Callable[[OHLCVBar], None], *,
        timeout_ms: int,
    ) -> None:  # fmt: skip
        self._signals = signals
        self._store = store
        self._clock = clock
        self._take = take
        self._timeout_ns = timeout_ms * 1_000_000
        self._waiting: deque[tuple[OHLCVBar, int]] = deque()
        self._decided_us = self._passed_us = 0
        self.misses = 0

    @property
    def waiting(self) -> int:
        """Count the bars that wait."""
        return len(self._waiting)

    def on_bar(self, bar: OHLCVBar) -> None:
        """Let a bar through, or keep it behind the ones that wait."""
        self._waiting.append((bar, self._clock.monotonic_ns()))
        self.on_time()

    def on_decided(self, decided: Decided) -> None:
        """The scanner is done with a minute; what it stored is read before any bar goes on."""
        cursor = self._signals.cursor
        if cursor.store_uuid != decided.store_uuid or cursor.outbox_seq < decided.outbox_seq_last:
            self._signals.catch_up()
        self._decided_us = max(self._decided_us, decided.timestamp_us)
        self.on_time()

    def on_time(self) -> None:
        """Let go on what may, or what waited too long."""
        while self._waiting:
            bar, since_ns = self._waiting[0]
            if not self._is_open_for(bar):
                waited_ns = self._clock.monotonic_ns() - since_ns
                if waited_ns < self._timeout_ns:
                    return
                self._miss(bar, waited_ns // 1000)
            self._waiting.popleft()
            self._passed_us = max(self._passed_us, bar.timestamp_us)
            self._take(bar)

    def _is_open_for(self, bar: OHLCVBar) -> bool:
        """The first bar of a day waits for nobody, nor does one of a minute that was gone past already."""
        is_first = not self._passed_us or trading_date(bar.timestamp_us) != trading_date(self._passed_us)
        return is_first or bar.timestamp_us <= self._passed_us or self._decided_us >= self._passed_us

    def _miss(self, bar: OHLCVBar, waited_us: int) -> None:
        self.misses += 1
        with self._store.transaction() as entry:
            entry.barrier_miss(bar.exchange, bar.timeframe, bar.timestamp_us, waited_us, self._clock.now_us())
