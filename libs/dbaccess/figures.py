"""What rows come to, symbol by symbol: figures that tell two sets of rows apart without holding either in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import duckdb

from libs.dbaccess.errors import StoreCorrupt

_PRICES = {"ticks": ("price", "price"), "candles": ("low", "high")}


class Figures(NamedTuple):
    """One symbol's rows. The sum of the hashes of all columns tells rows apart that the other figures would not.

    It is 0 where rows were compared one by one.
    """

    rows: int
    first_us: int
    last_us: int
    lowest: float
    highest: float
    volume: int
    hashes: int


def figures_select(table: str, columns: Sequence[str]) -> str:
    """Spell the aggregates of `Figures`, in its order; every column of every row goes into the hash.

    But for the symbol: figures are of one.
    """
    low, high = _PRICES[table]
    hashed = ", ".join(column for column in columns if column != "symbol")
    return (
        f"count(*), epoch_us(min(timestamp)), epoch_us(max(timestamp)), min({low}), max({high}),"
        f" sum(volume)::HUGEINT, sum(hash({hashed}))::HUGEINT"
    )


def figures_of(
    connection: duckdb.DuckDBPyConnection, rows: str, table: str, columns: Sequence[str]
) -> dict[str, Figures]:
    """Read every block of the rows a SELECT gives, and give the figures of each symbol."""
    found = connection.execute(
        f"SELECT symbol, {figures_select(table, columns)} FROM ({rows}) GROUP BY symbol"
    ).fetchall()
    return {row[0]: Figures._make(row[1:]) for row in found}


def require_same_figures(
    expected: Mapping[str, Figures], found: Mapping[str, Figures], *, what: str, source: str
) -> None:
    """Raise StoreCorrupt, naming a symbol and its first figure that differs, unless both come to the same."""
    for symbol in sorted(expected.keys() | found.keys()):
        want, got = expected.get(symbol), found.get(symbol)
        if want == got:
            continue
        if want is None or got is None:
            raise StoreCorrupt(f"{what}: {symbol} is {'too many' if want is None else 'missing'}")
        name = next(name for name, a, b in zip(Figures._fields, want, got, strict=True) if a != b)
        raise StoreCorrupt(f"{what}: {symbol} has {name} {getattr(got, name)}, {source} has {getattr(want, name)}")


def require_same_rows(
    connection: duckdb.DuckDBPyConnection, written: str, parts: Iterable[str], columns: Sequence[str], *, what: str
) -> None:
    """Raise StoreCorrupt, naming a row, unless a table holds the rows of some SELECTs, one's behind the other's.

    Every block of it is read. Row beside row costs less than half of figures of both sides, and sees their order, too.
    """
    names = ", ".join(columns)
    differ = " OR ".join(f"ours.{column} IS DISTINCT FROM theirs.{column}" for column in columns)
    row = 0
    for select in parts:
        [(rows,)] = connection.execute(f"SELECT count(*) FROM ({select})").fetchall()
        theirs = f"SELECT {names} FROM {written} WHERE rowid BETWEEN {row} AND {row + rows - 1}"
        odd = connection.execute(
            f"SELECT coalesce(ours.symbol, theirs.symbol), coalesce(ours.timestamp, theirs.timestamp)::VARCHAR"
            f" FROM ({theirs}) theirs POSITIONAL JOIN ({select}) ours WHERE {differ} LIMIT 1"
        ).fetchall()
        if odd:
            raise StoreCorrupt(f"{what}: the row of {odd[0][0]} at {odd[0][1]} is not what was to be written")
        row += rows
    [(found,)] = connection.execute(f"SELECT count(*) FROM {written}").fetchall()
    if found != row:
        raise StoreCorrupt(f"{what}: holds {found} rows, {row} were to be written")
