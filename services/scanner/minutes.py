"""The barrier: bars wait for their minute to be closed, and a closed minute waits for all of its bars."""

from __future__ import annotations

from bisect import insort

import msgspec

from libs.contracts import MinuteClosed, OHLCVBar


class Minute(msgspec.Struct, frozen=True):
    """All bars that closed with one minute, in the order they were published."""

    closed: MinuteClosed
    bars: list[OHLCVBar]

    @property
    def missing(self) -> int:
        """How many bars never came."""
        return max(0, self.closed.count - len(self.bars))


class Minutes:
    """Puts minutes together by seq. After a loss on the bus a bar may come behind the closing of its minute."""

    def __init__(self) -> None:
        self._bars: dict[int, OHLCVBar] = {}
        self._closed: list[tuple[int, MinuteClosed]] = []
        self._done_seq = 0
        #: Bars and closings that came again, or after their minute was given up.
        self.late = 0

    def add(self, item: OHLCVBar | MinuteClosed) -> None:
        """Take a bar or a closing off the bus."""
        if item.seq <= self._done_seq:
            self.late += 1
        elif isinstance(item, OHLCVBar):
            self._bars[item.seq] = item
        elif all(seq != item.seq for seq, _ in self._closed):
            insort(self._closed, (item.seq, item), key=lambda entry: entry[0])

    @property
    def is_waiting(self) -> bool:
        """Whether a minute was closed and lacks bars."""
        return bool(self._closed)

    def take(self, *, incomplete: bool = False) -> Minute | None:
        """Give the next minute when all its bars are there, or with `incomplete` as it is."""
        if not self._closed:
            return None
        upto, closed = self._closed[0]
        mine = sorted(seq for seq in self._bars if seq < upto)
        if len(mine) < closed.count and not incomplete:
            return None
        del self._closed[0]
        self._done_seq = upto
        return Minute(closed, [self._bars.pop(seq) for seq in mine])
