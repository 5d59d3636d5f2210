"""What a query found, without the connection that found it: whoever holds it can fetch and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:  # half a second of every start, for three names
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Result:
    """Rows to fetch once, as from DuckDB; the next statement on the same connection takes its place."""

    __slots__ = ("__connection",)

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.__connection = connection

    @property
    def description(self) -> Any:
        """Names and types of the columns."""
        return self.__connection.description

    def fetchone(self) -> tuple[Any, ...] | None:
        """The next row, None after the last."""
        return self.__connection.fetchone()

    def fetchmany(self, size: int = 1) -> list[tuple[Any, ...]]:
        """The next rows."""
        return self.__connection.fetchmany(size)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows that are left."""
        return self.__connection.fetchall()

    def to_arrow_table(self) -> pa.Table:
        """All rows that are left, as Arrow."""
        return self.__connection.to_arrow_table()

    def df(self) -> pd.DataFrame:
        """All rows that are left, as a pandas frame."""
        return self.__connection.df()

    def pl(self) -> pl.DataFrame:
        """All rows that are left, as a polars frame."""
        import polars as pl

        return pl.DataFrame(self.to_arrow_table())
