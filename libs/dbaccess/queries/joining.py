"""Parts of columns put together by symbol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from libs.dbaccess.candles import CandleColumns
from libs.dbaccess.queries.columns import NAMES, Part


def by_symbol(parts: Sequence[Part], symbols: Sequence[str]) -> tuple[CandleColumns, ...]:
    """Put parts, which come in order of date, together by symbol, in the order of their names; of twins the first.

    Takes the columns out of the parts one by one, so that hardly more than the answer is in memory at any time.
    """
    if not parts:
        return ()
    # Small numbers are sorted in one go over them, and rows of a symbol then lie side by side: no search for each.
    places = _joined(parts, "place").astype(np.min_scalar_type(len(symbols)))
    order = np.argsort(places, kind="stable") if len(symbols) > 1 else slice(None)
    columns = [_joined(parts, name)[order] for name in NAMES[1:]]
    edges = np.concatenate(([0], np.cumsum(np.bincount(places, minlength=len(symbols)))))
    found = []
    for number, symbol in sorted(enumerate(symbols), key=lambda each: each[1]):
        own = [column[edges[number] : edges[number + 1]] for column in columns]
        if len(own[0]):
            found.append(CandleColumns(symbol, *_in_order(own)))
    return tuple(found)


def _joined(parts: Sequence[Part], name: str) -> npt.NDArray[Any]:
    return np.concatenate([part.pop(name) for part in parts])


def _in_order(columns: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    times = columns[0]
    if bool(np.all(times[1:] > times[:-1])):
        return columns
    order = np.argsort(times, kind="stable")
    times = times[order]
    kept = order[np.concatenate(([True], times[1:] != times[:-1]))]
    return [column[kept] for column in columns]
