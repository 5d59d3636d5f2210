"""Candles as numpy columns, straight from DuckDB: for whoever runs over them, and needs no frame and no Arrow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:  # whoever begins to read early imports numpy meanwhile
    import duckdb
    import numpy.typing as npt

_PRICES = ("open", "high", "low", "close")
#: The columns of a part.
NAMES = ("place", "timestamp", *_PRICES, "volume")


#: A chunk's columns by name; `place` is that of a row's symbol among those asked for.
Part: TypeAlias = "dict[str, npt.NDArray[Any]]"


def fetch_columns(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object]) -> Part:
    """Run a SELECT of candles and give its columns."""
    place = "0" if isinstance(parameters["symbols"], str) else "list_position($symbols, symbol) - 1"
    prices = ", ".join(f"{name}::DOUBLE AS {name}" for name in _PRICES)
    found = connection.execute(
        f"SELECT ({place})::INTEGER AS place, epoch_us(timestamp) AS timestamp, {prices},"
        f" coalesce(volume, 0)::BIGINT AS volume FROM ({sql})",
        parameters,
    ).fetchnumpy()
    return {name: _filled(found[name]) for name in NAMES}


def _filled(column: Any) -> npt.NDArray[Any]:
    """Give a column whose missing prices are NaN."""
    filled: npt.NDArray[Any] = column.filled(math.nan) if hasattr(column, "filled") else column
    return filled
