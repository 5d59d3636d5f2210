"""A clock that moves when told."""

from __future__ import annotations


class ManualClock:
    """Starts at a moment; `sleep` moves it."""

    def __init__(self, now_us: int = 1_770_003_900_000_000) -> None:
        self._us = now_us
        self._ns = 1_000_000_000

    def now_us(self) -> int:
        return self._us

    def monotonic_ns(self) -> int:
        return self._ns

    def sleep(self, seconds: float) -> None:
        self._us += int(seconds * 1e6)
        self._ns += int(seconds * 1e9)
