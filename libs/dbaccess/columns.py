"""Columns on their way into a DuckDB table without Arrow, which takes 30 MiB of a process that only writes its file.

A numpy column cannot say that a value is missing; one it cannot have stands for it, and the SELECT takes it out again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from libs.dbaccess.connections import quote

_MISSING = -(1 << 63)
#: In so many rows it pays to look whether they are alike.
_ROWS_ALIKE = 1_000


class Column(NamedTuple):
    """Values, and how the SELECT reads them: an expression over `{0}`, the column's name."""

    values: npt.NDArray[Any]
    expression: str = "{0}"


def texts(values: Sequence[str]) -> Column:
    """Give texts as a column; one that every row has is spelled in the SELECT, which then looks at no row for it."""
    if len(values) >= _ROWS_ALIKE and values.count(values[0]) == len(values) and values[0].isprintable():
        literal = quote(values[0]).replace("{", "{{").replace("}", "}}")
        return Column(np.zeros(len(values), np.int8), literal)
    return Column(np.array(values, dtype=object))


def integers(values: Sequence[int | None]) -> Column:
    """Give integers, some of them missing perhaps, as a column of 64 bits."""
    if None not in values:
        return Column(np.array(values, np.int64))
    return Column(np.array([_MISSING if value is None else value for value in values], np.int64), _OR_NULL)


def floats(values: Sequence[float | None]) -> Column:
    """Give floats, some of them missing perhaps, as a column; where all are, the SELECT says so."""
    if values and values[0] is None and values.count(None) == len(values):
        return Column(np.zeros(len(values), np.int8), "NULL")
    expression = "nullif({0}, 'NaN'::DOUBLE)" if None in values else "{0}"
    return Column(np.array(values, np.float64), expression)


def stamps(values: Sequence[int | None] | npt.NDArray[np.int64]) -> Column:
    """Give instants in microseconds as a column of aware timestamps."""
    column = Column(values) if isinstance(values, np.ndarray) else integers(values)
    return column._replace(expression=f"make_timestamptz({column.expression})")


def insert(connection: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Column]) -> None:
    """Add rows to a table; the names are the table's own."""
    rows = {name: column.values for name, column in columns.items()}
    if not len(next(iter(rows.values()))):
        return
    selected = ", ".join(column.expression.format(name) for name, column in columns.items())
    connection.register("rows_to_write", rows)
    try:
        connection.execute(f"INSERT INTO {table} ({', '.join(rows)}) SELECT {selected} FROM rows_to_write")
    finally:
        connection.unregister("rows_to_write")


_OR_NULL = f"nullif({{0}}, {_MISSING})"
