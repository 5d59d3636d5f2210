"""Candles as numpy columns, straight from DuckDB: for whoever runs over them, and needs no frame and no Arrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

_PRICES = ("open", "high", "low", "close")
_NAMES = ("place", "timestamp", *_PRICES, "volume")


class CandleColumns(NamedTuple):
    """One symbol's candles in time order, each once; times are microseconds."""

    symbol: str
    timestamps: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.int64]


#: A chunk's columns by name; `place` is that of a row's symbol among those asked for.
Part = dict[str, npt.NDArray[Any]]


def fetch_columns(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]) -> Part:
    """Run a SELECT of candles and give its columns."""
    place = "0" if isinstance(parameters["symbols"], str) else "list_position($symbols, symbol) - 1"
    prices = ", ".join(f"{name}::DOUBLE AS {name}" for name in _PRICES)
    found = connection.execute(
        f"SELECT ({place})::INTEGER AS place, epoch_us(timestamp) AS timestamp, {prices},"
        f" coalesce(volume, 0)::BIGINT AS volume FROM ({sql})",
        parameters,
    ).fetchnumpy()
    return {name: _filled(found[name]) for name in _NAMES}


def by_symbol(parts: Sequence[Part], symbols: Sequence[str]) -> tuple[CandleColumns, ...]:
    """Put parts, which come in order of date, together by symbol, in the order of their names; of twins the first.

    Takes the columns out of the parts one by one, so that hardly more than the answer is in memory at any time.
    """
    if not parts:
        return ()
    # Small numbers are sorted in one go over them, and rows of a symbol then lie side by side: no search for each.
    places = _joined(parts, "place").astype(np.min_scalar_type(len(symbols)))
    order = np.argsort(places, kind="stable") if len(symbols) > 1 else slice(None)
    columns = [_joined(parts, name)[order] for name in _NAMES[1:]]
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


def _filled(column: Any) -> npt.NDArray[Any]:
    """Give a column whose missing prices are NaN."""
    filled: npt.NDArray[Any] = column.filled(np.nan) if hasattr(column, "filled") else column
    return filled
