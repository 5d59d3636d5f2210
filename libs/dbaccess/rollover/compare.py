"""Whether two tables hold the same rows: figures of every symbol, and a hash of every column of every row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from libs.dbaccess.errors import StoreCorrupt

_PRICES = {"ticks": ("price", "price"), "candles": ("low", "high")}
_FIGURES = ("rows", "first", "last", "lowest", "highest", "volume", "hash")


def figures(
    connection: duckdb.DuckDBPyConnection, rows: str, table: str, columns: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """Read every block of the rows a SELECT gives; by symbol: count, first and last, prices, volume, hash."""
    low, high = _PRICES[table]
    found = connection.execute(
        f"""SELECT symbol, count(*), epoch_us(min(timestamp)), epoch_us(max(timestamp)), min({low}), max({high}),
                   sum(volume)::HUGEINT, sum(hash({", ".join(columns)})::HUGEINT)
            FROM ({rows}) GROUP BY symbol"""
    ).fetchall()
    return {symbol: tuple(rest) for symbol, *rest in found}


def require_same(
    connection: duckdb.DuckDBPyConnection, ours: str, theirs: str, table: str, columns: Sequence[str], what: str
) -> None:
    """Raise StoreCorrupt, naming a symbol and its first figure that differs, unless `theirs` holds the rows of `ours`.

    The sum of the hashes of all columns tells rows apart that the other figures would not.
    """
    expected = figures(connection, ours, table, columns)
    found = figures(connection, theirs, table, columns)
    for symbol in sorted(expected.keys() | found.keys()):
        mine, other = expected.get(symbol), found.get(symbol)
        if mine == other:
            continue
        if mine is None or other is None:
            raise StoreCorrupt(f"{what}: {symbol} is {'too many' if mine is None else 'missing'}")
        name, want, got = next((name, a, b) for name, a, b in zip(_FIGURES, mine, other, strict=True) if a != b)
        raise StoreCorrupt(f"{what}: {symbol} has {name} {got}, the live buffer has {want}")


def difference(connection: duckdb.DuckDBPyConnection, ours: str, theirs: str) -> tuple[Any, ...] | None:
    """Give a row that one SELECT has more often than the other; None when they hold the same rows."""
    found = connection.execute(
        f"({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours}) LIMIT 1"
    ).fetchall()
    return found[0] if found else None
