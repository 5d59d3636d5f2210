"""Days exported as Parquet, into history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb

from libs.core.errors import Refused
from libs.dbaccess.connections import attach_day, duckdb_memory, quote
from libs.dbaccess.errors import ImmutableDay, StoreMissing
from libs.dbaccess.manager import DatabaseManager

#: Called with how many are done, how many there are, and the name of the one just done.
Report = Callable[[int, int, str], None]


def import_parquet(db: DatabaseManager, source: Path, *, report: Report) -> tuple[int, int]:
    """Close every day found below an exported directory; gives how many were closed and how many were there alike.

    A day that exists with other rows is refused, and named; days before it stay imported.
    """
    if not source.is_dir():
        raise StoreMissing(source, "expected a directory made by `fleet db export market`")
    files = sorted(source.rglob("*.parquet"))
    if not files:
        raise StoreMissing(source, "no Parquet files in it")
    taken = same = 0
    for done, file in enumerate(files, 1):
        if _import_day(db, source, file):
            taken += 1
        else:
            same += 1
        report(done, len(files), file.stem)
    return taken, same


def _import_day(db: DatabaseManager, source: Path, file: Path) -> bool:
    exchange, data_type, timeframe, day = _parse(file.relative_to(source))
    path = db.layout.day(exchange, data_type, timeframe, day)
    if path.exists():
        if _differs(path, data_type, file):
            raise ImmutableDay(f"{path}: this day is closed and holds other rows than {file}")
        return False
    with db.historical_writer(exchange, data_type, timeframe, day) as writer, duckdb_memory() as connection:
        writer.append(_read(connection, file).to_arrow_table())
    return True


def _parse(relative: Path) -> tuple[str, str, str | None, date]:
    parts = relative.parts
    try:
        day = date.fromisoformat(relative.stem)
        if len(parts) == 3 and parts[1] == "ticks":
            return parts[0], "ticks", None, day
        exchange, data_type, timeframe, _ = parts
    except ValueError as e:
        raise Refused(
            f"{relative}: expected <exchange>/ticks/<date>.parquet or <exchange>/candles/<timeframe>/…"
        ) from e
    return exchange, data_type, timeframe, day


def _read(connection: duckdb.DuckDBPyConnection, file: Path) -> duckdb.DuckDBPyRelation:
    try:
        return connection.sql(f"SELECT * FROM read_parquet({quote(file)})")
    except (duckdb.InvalidInputException, duckdb.IOException) as e:
        raise Refused(f"{file}: not a readable Parquet file: {e}") from e


def _differs(path: Path, table: str, file: Path) -> bool:
    with duckdb_memory() as connection:
        attach_day(connection, path, "day")
        ours, theirs = f"SELECT * FROM day.{table}", f"SELECT * FROM read_parquet({quote(file)})"
        rows = connection.execute(
            f"({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours}) LIMIT 1"
        ).fetchall()
    return bool(rows)
