"""The least and the greatest of many stretches of a column, without going through each."""

from __future__ import annotations

import numpy as np

from libs.indicators.columns import Integers

#: Stretches of so many rows (2 to this power) and more are gone through: there are few of them, and that is quick.
_LEVELS = 9


class Extremes:
    """Knows the extremes of every stretch of 1, 2, 4 … rows: two of them, overlapping, are any stretch.

    Takes up to nine times the column's memory for each end, half of that where its values are small.
    """

    def __init__(self, values: Integers) -> None:
        is_small = bool(len(values)) and int(values.min()) > -(1 << 31) and int(values.max()) < 1 << 31
        self._values = values.astype(np.int32) if is_small else values
        self._tables = [(edge, self._table(edge)) for edge in (np.minimum, np.maximum)]

    def of(self, starts: Integers, lengths: Integers) -> tuple[Integers, Integers]:
        """Give the least and the greatest value of each stretch; none is empty."""
        levels = np.frexp(lengths)[1] - 1
        is_long = levels >= _LEVELS
        far = np.flatnonzero(is_long) if is_long.any() else None
        if far is not None:
            levels[far] = 0
        firsts = levels * len(self._values) + starts
        lasts = firsts + lengths - (1 << levels)
        if far is not None:
            lasts[far] = firsts[far]
        found = []
        for edge, table in self._tables:
            of_all = edge(table[firsts], table[lasts])
            if far is not None:
                of_all[far] = self._gone_through(edge, starts[far], lengths[far])
            found.append(of_all.astype(np.int64))
        return found[0], found[1]

    def _table(self, edge: np.ufunc) -> Integers:
        """Put the extremes of all stretches of 1, 2, 4 … rows behind each other, each by the row it begins at."""
        rows = len(self._values)
        table = np.empty((_LEVELS, rows), dtype=self._values.dtype)
        table[0] = self._values
        for level in range(1, _LEVELS):
            half = 1 << (level - 1)
            whole = max(0, rows - 2 * half + 1)
            edge(table[level - 1, :whole], table[level - 1, half : half + whole], out=table[level, :whole])
        return table.reshape(-1)

    def _gone_through(self, edge: np.ufunc, starts: Integers, lengths: Integers) -> list[int]:
        stretches = zip(starts.tolist(), (starts + lengths).tolist(), strict=True)
        return [int(edge.reduce(self._values[start:end])) for start, end in stretches]
