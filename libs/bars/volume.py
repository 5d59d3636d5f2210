"""What is remembered of one symbol between ticks, and the volume each tick adds."""

from __future__ import annotations

import msgspec

from libs.bars.openbar import OpenBar
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE

#: No connection has this number: the next tick is the first of its connection.
NO_CONNECTION = 0
#: Nobody said when the feed was connected, so every symbol starts with a baseline.
_UNKNOWN_US = 2**63 - 1


class Slot(msgspec.Struct):
    """One symbol: its newest bar and the cumulative day volume last seen.

    `start_us` and `end_us` bound the newest bar while it is open and are 0 when it is not.
    `unbooked` is the last tick that no bar could take, so that its repeats are known as such.
    """

    start_us: int = 0
    end_us: int = 0
    bar: OpenBar | None = None
    volume_day: int = 0
    last_us: int = 0
    connection: int = NO_CONNECTION
    lower: int = -1
    unbooked: tuple[int, float, int] | None = None


class VolumeBook:
    """Turns the exchange's cumulative day volume into what each tick adds: the sum of its rises, never less than 0.

    The first value of a connection is a baseline: what traded before it was not seen, and backfill brings it.
    It counts in full only when the connection is older than the session, for then nothing traded unseen. What traded
    unseen between two trades of one minute is of that minute, whoever saw it: its bar gets it, for no backfill would.
    """

    def __init__(self) -> None:
        self.connection = NO_CONNECTION + 1
        self.connected_us = _UNKNOWN_US
        self.corrections = 0

    def on_connect(self, session_now_us: int) -> None:
        """Begin a connection: every symbol needs a baseline again."""
        self.connection += 1
        self.connected_us = session_now_us

    def settle(self, slot: Slot, at_us: int, volume_day: int, session: Session, day_start_us: int) -> int:
        """Give the volume a tick adds and remember its figure. The aggregator does the ordinary case itself."""
        first = slot.connection != self.connection
        slot.connection = self.connection
        if at_us < day_start_us:  # an earlier date's last trade: nothing traded today
            slot.volume_day = 0
            return 0
        last_us = max(slot.last_us, slot.bar.last_us if slot.bar else 0)
        slot.last_us = max(at_us, last_us)
        if volume_day == 0:  # absent on the wire, as for an index
            return 0
        if first:
            begun = session.open_us if at_us >= session.open_us else session.pre_open_us
            baseline = 0 if not last_us and self.connected_us < begun else volume_day
            if slot.volume_day and last_us // US_PER_MINUTE == at_us // US_PER_MINUTE:
                baseline = min(slot.volume_day, volume_day)
            slot.volume_day, slot.lower = volume_day, -1
            return volume_day - baseline
        if volume_day >= slot.volume_day:
            volume, slot.volume_day, slot.lower = volume_day - slot.volume_day, volume_day, -1
            return volume
        return self._fallen(slot, volume_day) if at_us > last_us else 0  # an older frame that was overtaken

    def _fallen(self, slot: Slot, volume_day: int) -> int:
        """Believe a lower figure only when the next one is lower too: one alone may be a stray."""
        if slot.lower < 0:
            slot.lower = volume_day
            return 0
        volume = max(0, volume_day - slot.lower)
        slot.volume_day, slot.lower = volume_day, -1
        self.corrections += 1
        return volume
