"""The broker's own kill switch: the last lock. Once thrown, nobody trades in its segments for about twelve hours."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from libs.core.errors import FleetError, OutcomeUnknown
from libs.upstox.orders import OrderCalls


class Segment(msgspec.Struct, frozen=True):
    """A part of the market as the broker divides it, and whether its own switch stops all trading there."""

    name: str
    is_locked: bool


SwitchReader = Callable[[tuple[Segment, ...] | FleetError], None]


class UpstoxSwitch:
    """Reads and throws the switch of some segments. Every call asks the broker, and may run on any thread."""

    def __init__(self, calls: OrderCalls, segments: Iterable[str]) -> None:
        self._calls = calls
        self._names = tuple(segments)

    def read(self) -> tuple[Segment, ...]:
        """Give the segments as the broker shows them; one it does not show is not locked."""
        rows = {row.segment: row.kill_switch_enabled for row in self._calls.kill_switch()}
        return tuple(Segment(name, rows.get(name, False)) for name in self._names)

    def lock(self) -> tuple[Segment, ...]:
        """Throw the switch once, and give what the broker shows afterwards: that, and not the answer, is what counts.

        Raise when a segment is not locked then, or when nobody can say.
        """
        unanswered: OutcomeUnknown | None = None
        try:
            self._calls.disable_segments(self._names)
        except OutcomeUnknown as e:
            unanswered = e
        try:
            shown = self.read()
        except FleetError as e:
            raise OutcomeUnknown(f"the switch may or may not be thrown: {unanswered or 'taken'}; then: {e}") from e
        missing = [segment.name for segment in shown if not segment.is_locked]
        if missing:
            raise OutcomeUnknown(
                f"the broker was told to lock and shows {', '.join(missing)} open: {unanswered or 'it answered yes'}"
            )
        return shown
