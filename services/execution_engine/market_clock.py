"""The market's time as the engine sees it: what ticks and bars say, carried on through silence."""

from __future__ import annotations

from libs.contracts.market import Tick
from libs.core.clock import US_PER_SECOND, Clock

#: A tick that is older says when its symbol traded last, and not when it came.
_QUOTE_AGE_MAX_US = 5 * US_PER_SECOND


class MarketClock:
    """Never runs backwards; 0 until the market said anything.

    Decisions are made at this time, so that a simulated day may run at any speed. In a silence it goes on as fast as
    time does: prices grow old, and what is due by the clock comes due. `closes_after_us`: a bar is closed so long after
    its end.
    """

    def __init__(self, clock: Clock, *, silence_us: int, closes_after_us: int = 0) -> None:
        self._clock = clock
        self._silence_ns = silence_us * 1000
        self._closes_after_us = closes_after_us
        self._anchor_us = 0
        self._anchor_ns = 0
        self._highest_us = 0

    @property
    def is_known(self) -> bool:
        return self._highest_us > 0

    def heard(self, market_us: int) -> None:
        """Take the time of something that happened in the market."""
        self._anchor_ns = self._clock.monotonic_ns()
        if market_us > self._anchor_us:
            self._anchor_us = market_us
            self._highest_us = max(self._highest_us, market_us)

    def silent_us(self) -> int:
        """Say for how long nothing was heard; 0 before the first word."""
        return (self._clock.monotonic_ns() - self._anchor_ns) // 1000 if self._anchor_us else 0

    def now_us(self) -> int:
        """Read the market's time."""
        silent_ns = self._clock.monotonic_ns() - self._anchor_ns
        if self._anchor_us and silent_ns >= self._silence_ns:
            self._highest_us = max(self._highest_us, self._anchor_us + silent_ns // 1000)
        return self._highest_us

    def decided_us(self, end_us: int) -> int:
        """Say when something is decided on a bar that ended then: now, but not before the bar was closed."""
        return max(self.now_us(), end_us + self._closes_after_us)

    def instant_of(self, tick: Tick) -> int:
        """Say when something a tick made due was: as it traded, though other symbols are moments ahead."""
        now_us = self.now_us()
        return tick.timestamp_us if now_us - tick.timestamp_us <= _QUOTE_AGE_MAX_US else now_us
