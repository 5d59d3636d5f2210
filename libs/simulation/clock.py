"""A clock that stands still until it is told to move."""

from __future__ import annotations

#: 2 February 2026, 09:15 IST: a session's opening.
_START_US = 1_770_003_900_000_000


class ManualClock:
    """A `Clock` whose time moves by `advance` and by `sleep`, which returns at once."""

    def __init__(self, now_us: int = _START_US) -> None:
        self._start_us = now_us
        self._elapsed_ns = 0

    def now_us(self) -> int:
        return self._start_us + self._elapsed_ns // 1000

    def monotonic_ns(self) -> int:
        return self._elapsed_ns

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass; it never runs backwards."""
        if seconds < 0:
            raise ValueError(f"time does not run backwards: {seconds} s")
        self._elapsed_ns += round(seconds * 1e9)
