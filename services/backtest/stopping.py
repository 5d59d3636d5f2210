"""Ctrl-C while a run goes on: the first ends it with the day it is on, the second at once; what it did is written."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_NEVER = 1 << 30


class Stopping:
    """Takes Ctrl-C, and a SIGTERM somebody catches, for as long as a run goes on.

    Nothing is cut short but loading and simulating: a run whose first row, or whose results, are being written
    finishes that. The engine that reads and writes turns an interrupt into an error of its own, hence `has_struck`.
    """

    def __init__(self) -> None:
        self.asked = 0
        #: Whether a `KeyboardInterrupt` was raised, whatever arrived in its place.
        self.has_struck = False
        self._strikes_at = _NEVER
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others get no signals
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.getsignal(number)
                if callable(before):
                    self._before[number] = before
                    signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def at_once(self) -> None:
        """From here on the first one ends it: nothing was done yet that could be half done."""
        self._strike_from(1)

    def after_the_day(self) -> None:
        """From here on it takes a second one to end it in the middle of a day."""
        self._strike_from(2)

    def never(self) -> None:
        """From here on nothing ends it."""
        self._strikes_at = _NEVER

    def goes_on(self) -> bool:
        """Tell whether nobody asked it to end."""
        return not self.asked

    def _strike_from(self, count: int) -> None:
        self._strikes_at = count
        if self.asked >= count:
            self._strike()

    def _strike(self) -> None:
        self._strikes_at = _NEVER
        self.has_struck = True
        raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.asked += 1
        if self.asked >= self._strikes_at:
            self._strike()
