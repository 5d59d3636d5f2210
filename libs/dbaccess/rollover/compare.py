"""Whether two tables hold the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from libs.dbaccess.figures import figures_of, require_same_figures

SOURCE = "the live buffer"


def require_same(
    connection: duckdb.DuckDBPyConnection, ours: str, theirs: str, table: str, columns: Sequence[str], what: str
) -> None:
    """Raise StoreCorrupt, naming a symbol and its first figure that differs, unless `theirs` holds the rows of `ours`.

    Every block of both is read.
    """
    expected = figures_of(connection, ours, table, columns)
    found = figures_of(connection, theirs, table, columns)
    require_same_figures(expected, found, what=what, source=SOURCE)


def difference(connection: duckdb.DuckDBPyConnection, ours: str, theirs: str) -> tuple[Any, ...] | None:
    """Give a row that one SELECT has more often than the other; None when they hold the same rows."""
    found = connection.execute(
        f"({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours}) LIMIT 1"
    ).fetchall()
    return found[0] if found else None
