"""Order rate in several windows at once, as brokers count it."""

from __future__ import annotations

from collections.abc import Iterable


class RateWindows:
    """The last requests' instants in a ring as long as the largest limit.

    A window has room again when the request that is `limit` back falls out of it. That instant is worked out when a
    request leaves, so that asking costs one comparison, however many windows there are.
    """

    def __init__(self, windows: Iterable[tuple[int, int]], *, entries_percent: int = 100) -> None:
        """Take (length in microseconds, most requests in it); entries may use only their percentage of each."""
        self.windows = tuple(windows)
        self._entry_windows = tuple((us, max(1, most * entries_percent // 100)) for us, most in self.windows)
        self._bounds = tuple(
            (us, most, entries) for (us, most), (_, entries) in zip(self.windows, self._entry_windows, strict=True)
        )
        self._least = min((entries for _, entries in self._entry_windows), default=1)
        self._longest_us = max((us for us, _ in self.windows), default=0)
        self._size = max((most for _, most in self.windows), default=1)
        self._ring = [-(1 << 62)] * self._size
        self._next = 0
        self.free_us = self.entry_free_us = -(1 << 62)

    def record(self, now_us: int) -> None:
        """Note a request that left: place, modify or cancel."""
        ring, at = self._ring, self._next
        ring[at] = now_us
        at = self._next = (at + 1) % self._size
        free_us = entry_free_us = -(1 << 62)
        if ring[at - self._least] + self._longest_us <= now_us and self.windows:
            self.free_us = self.entry_free_us = free_us  # too few of late for any window
            return
        for length_us, most, most_entries in self._bounds:
            # A place before the ring's first is one at its end, as a list counts.
            frees_us = ring[at - most] + length_us
            if frees_us > free_us:  # noqa: PLR1730 - a call costs more than the comparison, and this is every order
                free_us = frees_us
            frees_us = ring[at - most_entries] + length_us
            if frees_us > entry_free_us:  # noqa: PLR1730 - as above
                entry_free_us = frees_us
        if self.windows:
            self.free_us, self.entry_free_us = free_us, entry_free_us
        else:
            self.free_us = self.entry_free_us = now_us

    def full_window(self, now_us: int, *, is_entry: bool = False) -> tuple[int, int] | None:
        """Give the first window (length, limit) without room, or None."""
        if now_us >= (self.entry_free_us if is_entry else self.free_us):
            return None
        windows = self._entry_windows if is_entry else self.windows
        return next(window for window in windows if now_us < self._frees_at(window))

    def _frees_at(self, window: tuple[int, int]) -> int:
        return self._ring[(self._next - window[1]) % self._size] + window[0]
