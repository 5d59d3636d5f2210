"""The vectorised form of a strategy: what it wants on every bar, worked out for all bars at once.

A strategy that has one gives it in `wishes`. It says what `decide` would say where that does not depend on the
position; what does (leaving a long, turning it over) is decided bar by bar, by the same code as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from libs.indicators.columns import Integers
from libs.indicators.sides import Sides

Flags = npt.NDArray[np.bool_]


def tells_nothing(_: int) -> dict[str, Any]:
    """Tell `go` nothing: what entries without a stop, and nothing to say for themselves, are given."""
    return {}


class Wishes(msgspec.Struct, frozen=True):
    """Per bar: 1 to be long, -1 to be short, 0 neither; and whether a long or a short would be left there.

    `how` gives what `go` is told at a bar: the stop, and what stands in the signal's metadata. `rows` are the bars on
    which `side` is not 0, where those are known.
    """

    side: Sides
    leave_long: Flags | None = None
    leave_short: Flags | None = None
    leave_reason: str = ""
    how: Callable[[int], dict[str, Any]] = tells_nothing
    rows: Integers | None = None

    def wished(self, start: int, end: int) -> Integers:
        """Give the bars from start up to end on which a side is wished."""
        if self.rows is None:
            return np.flatnonzero(self.side[start:end]) + start
        first, last = self.rows.searchsorted((start, end)).tolist()
        return self.rows[first:last]


#: Columns a form may read: open, high, low, close, volume, timestamp.
BarColumns = Mapping[str, npt.NDArray[Any]]


def at_turns(side: npt.NDArray[Any], how: Callable[[int], dict[str, Any]] = tells_nothing) -> Wishes:
    """Wish for a side where it is the opposite of the last one there was; zeros are no side, and are passed over."""
    found = np.zeros(len(side), dtype=np.int8)
    at = np.flatnonzero(side[1:] != side[:-1]) + 1  # a side turns only where it changes
    at = np.concatenate([[0], at])[: len(side)]
    held = side[at]
    at, held = at[held != 0], held[held != 0]
    turned = held[1:] == -held[:-1]
    rows = at[1:][turned]
    found[rows] = held[1:][turned]
    return Wishes(found, how=how, rows=rows)
