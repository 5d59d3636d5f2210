"""The order of a minute's events where fills happen on bars: fills and exits of T, signals of T, then the fills of T+1.

A bar waits until the scanner says that the minute before it is decided and every signal up to then was taken; signals
of a minute wait until all of its bars were. So it does not matter whose message comes first. A bar waits no longer
than the time-out: going on without the word is a barrier miss. Prices and exits on ticks never wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from libs.contracts.market import MinuteClosed, OHLCVBar
from libs.contracts.signals import Decided
from libs.core.clock import US_PER_MINUTE, Clock, trading_date
from libs.dbaccess.trading import TradingStore
from services.execution_engine.signals import SignalSource


class Barrier:
    """`take` gets each bar when its turn has come, `close` each minute behind its bars."""

    def __init__(
        self, signals: SignalSource, store: TradingStore, clock: Clock, take: Callable[[OHLCVBar], None],
        close: Callable[[MinuteClosed], None], *, timeout_ms: int,
    ) -> None:  # fmt: skip
        self._signals = signals
        self._store = store
        self._clock = clock
        self._take = take
        self._close = close
        self._timeout_ns = timeout_ms * 1_000_000
        self._waiting: deque[tuple[OHLCVBar | MinuteClosed, int]] = deque()
        self._decisions: deque[Decided] = deque()
        self.decided_us = self._passed_us = self._closed_us = 0
        self.misses = 0

    @property
    def waiting(self) -> int:
        """Count the bars and closings that wait."""
        return len(self._waiting)

    def on_market(self, item: OHLCVBar | MinuteClosed) -> None:
        """Let a bar or the end of a minute through, or keep it behind those that wait."""
        self._waiting.append((item, self._clock.monotonic_ns()))
        self._go_on()

    def on_decided(self, decided: Decided) -> None:
        """The scanner is done with a minute."""
        self._decisions.append(decided)
        self._go_on()

    def on_time(self) -> None:
        """Let go on what waited too long."""
        self._go_on()

    def look(self) -> None:
        """Read in the scanner's store what the bus may have lost."""
        decided = self._signals.last_decided(self._closed_us) if self._closed_us else None
        if decided is not None and decided.timestamp_us > self.decided_us:
            self.on_decided(decided)

    def _go_on(self) -> None:
        while True:
            self._decide()
            if not self._waiting:
                return
            item, since_ns = self._waiting[0]
            if self._closed_us < item.timestamp_us - US_PER_MINUTE:
                self._closed_us = item.timestamp_us - US_PER_MINUTE  # what is later says that it is over, too
                continue
            if not self._is_open_for(item):
                waited_ns = self._clock.monotonic_ns() - since_ns
                if waited_ns < self._timeout_ns:
                    return
                self._miss(item, waited_ns // 1000)
            self._waiting.popleft()
            self._passed_us = max(self._passed_us, item.timestamp_us)
            if isinstance(item, MinuteClosed):
                self._closed_us = max(self._closed_us, item.timestamp_us)
                self._close(item)
            else:
                self._take(item)

    def _decide(self) -> None:
        """Take the signals of minutes that are closed here as well."""
        while self._decisions and self._decisions[0].timestamp_us <= self._closed_us:
            decided = self._decisions.popleft()
            cursor = self._signals.cursor
            if cursor.store_uuid != decided.store_uuid or cursor.outbox_seq < decided.outbox_seq_last:
                self._signals.catch_up(decided.outbox_seq_last)
            self.decided_us = max(self.decided_us, decided.timestamp_us)

    def _is_open_for(self, item: OHLCVBar | MinuteClosed) -> bool:
        """The first of a day waits for nobody, nor does what is of a minute that was gone on to already."""
        is_first = not self._passed_us or trading_date(item.timestamp_us) != trading_date(self._passed_us)
        return is_first or item.timestamp_us <= self._passed_us or self.decided_us >= self._passed_us

    def _miss(self, item: OHLCVBar | MinuteClosed, waited_us: int) -> None:
        self.misses += 1
        with self._store.transaction() as entry:
            entry.barrier_miss(item.exchange, "1m", item.timestamp_us, waited_us, self._clock.now_us())
