"""Which file made a query fail: the engine's error often doesn't say, so the files involved are read one by one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from libs.dbaccess.connections import duckdb_memory, duckdb_reader, quote
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.queries.arrow import batches
from libs.dbaccess.queries.attached import DayGone


def find_damage(
    day_files: Iterable[Path], parquet_files: Iterable[Path], table: str, columns: str
) -> StoreCorrupt | DayGone | None:
    """Read the columns of every file to the end; give the error of the first that cannot be read, naming it."""
    for path in day_files:
        if error := _gone(path) or _day_damage(path, table, columns):
            return error
    for path in parquet_files:
        if error := _gone(path) or _parquet_damage(path, columns):
            return error
    return None


def _gone(path: Path) -> DayGone | None:
    return None if path.exists() else DayGone(path)


def _day_damage(path: Path, table: str, columns: str) -> StoreCorrupt | None:
    try:
        with duckdb_reader(path) as connection:
            _read_all(connection, f"SELECT {columns} FROM {table}")
    except StoreCorrupt as e:
        return e
    except duckdb.Error as e:
        return StoreCorrupt(f"{path}: this day of market data is damaged: {e}")
    return None


def _parquet_damage(path: Path, columns: str) -> StoreCorrupt | None:
    try:
        with duckdb_memory() as connection:
            _read_all(connection, f"SELECT {columns} FROM read_parquet({quote(path)}, hive_partitioning = false)")
    except duckdb.Error as e:
        return StoreCorrupt(f"{path}: this file of market data is damaged: {e}")
    return None


def _read_all(connection: duckdb.DuckDBPyConnection, select: str) -> None:
    for _batch in batches(connection, select):
        pass
