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

from libs.indicators.sides import Sides

Flags = npt.NDArray[np.bool_]


def tells_nothing(_: int) -> dict[str, Any]:
    """Tell `go` nothing: what entries without a stop, and nothing to say for themselves, are given."""
    return {}


class Wishes(msgspec.Struct, frozen=True):
    """Per bar: 1 to be long, -1 to be short, 0 neither; and whether a long or a short would be left there.

    `how` gives what `go` is told at a bar: the stop, and what stands in the signal's metadata.
    """

    side: Sides
    leave_long: Flags | None = None
    leave_short: Flags | None = None
    leave_reason: str = ""
    how: Callable[[int], dict[str, Any]] = tells_nothing


#: Columns a form may read: open, high, low, close, volume, timestamp.
BarColumns = Mapping[str, npt.NDArray[Any]]


def turns(side: npt.NDArray[Any]) -> Sides:
    """Mark where a side is the opposite of the last one there was; zeros are no side, and are passed over."""
    found = np.zeros(len(side), dtype=np.int8)
    at = np.flatnonzero(side[1:] != side[:-1]) + 1  # a side turns only where it changes
    at = np.concatenate([[0], at])[: len(side)]
    held = side[at]
    at, held = at[held != 0], held[held != 0]
    turned = held[1:] == -held[:-1]
    found[at[1:][turned]] = held[1:][turned]
    return found
