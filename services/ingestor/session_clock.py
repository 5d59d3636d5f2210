"""The session's clock: the exchange's own time as the feed gives it, carried on through silence."""

from __future__ import annotations

from libs.core.clock import Clock


class SessionClock:
    """Never runs backwards. 0 until the exchange's time is known.

    While frames come it stands where the last one put it, so that a simulated day runs at its own speed. After a
    silence it goes on as fast as time does, so that bars close during an outage.
    `skew_max_us` refuses a time that far from the machine's own (0: anything goes, for days that are not today).
    """

    def __init__(self, clock: Clock, *, silence_us: int, skew_max_us: int = 0) -> None:
        self.refused = 0
        #: How far the newest frame's time was from the machine's when that was too far to believe; else 0.
        self.odds_us = 0
        self._clock = clock
        self._silence_ns = silence_us * 1000
        self._skew_max_us = skew_max_us
        self._anchor_us = 0
        self._anchor_ns = 0
        self._highest_us = 0

    def resume(self, session_us: int) -> None:
        """Go on from where an earlier process left the session."""
        self._highest_us = self._anchor_us = session_us
        self._anchor_ns = self._clock.monotonic_ns()

    def on_frame(self, exchange_us: int) -> int:
        """Take the exchange's time from a frame; give the session's."""
        apart_us = exchange_us - self._clock.now_us()
        if self._skew_max_us and abs(apart_us) > self._skew_max_us:
            self.refused += 1
            self.odds_us = apart_us if exchange_us else 0
            return self.now_us()
        self.odds_us = 0
        self._anchor_us = max(self._anchor_us, exchange_us)
        self._anchor_ns = self._clock.monotonic_ns()
        self._highest_us = max(self._highest_us, self._anchor_us)
        return self._highest_us

    def now_us(self) -> int:
        """Read the session's time."""
        silent_ns = self._clock.monotonic_ns() - self._anchor_ns
        if self._anchor_us and silent_ns >= self._silence_ns:
            self._highest_us = max(self._highest_us, self._anchor_us + silent_ns // 1000)
        return self._highest_us
