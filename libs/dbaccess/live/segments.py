"""Parquet segments: immutable, sorted by symbol and time, whole under their name or not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
import msgspec

from libs.core.faults import crash_point
from libs.dbaccess.connections import SESSION_ZONE, quote
from libs.dbaccess.files import CLOSED_FILE
from libs.dbaccess.live.manifest import Segment

_ORDER = {"ticks": "symbol, timestamp, seq", "candles": "symbol, timeframe, timestamp"}
_PARQUET = "FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false"


class NewRows(NamedTuple):
    """The rows of a table in a range of rowids, as counted in the table."""

    rows: int
    rowid_min: int
    rowid_max: int
    timestamp_min_us: int
    timestamp_max_us: int
    trading_dates: tuple[date, ...]


def count_rows(
    connection: duckdb.DuckDBPyConnection, table: str, rowid_min: int, rowid_max: int | None = None
) -> NewRows | None:
    """Describe the committed rows from `rowid_min` on; None when there are none."""
    upper = "" if rowid_max is None else f"AND rowid <= {rowid_max}"
    rows, first, last, oldest_us, newest_us, dates = connection.execute(
        f"""SELECT count(*), min(rowid), max(rowid), epoch_us(min(timestamp)), epoch_us(max(timestamp)),
                   list(DISTINCT (timestamp AT TIME ZONE '{SESSION_ZONE}')::DATE)
            FROM {table} WHERE rowid >= {rowid_min} {upper}"""
    ).fetchall()[0]
    return NewRows(rows, first, last, oldest_us, newest_us, tuple(sorted(dates))) if rows else None


def write_segment(connection: duckdb.DuckDBPyConnection, table: str, found: NewRows, path: Path, level: int) -> Segment:
    """Write the rows counted into a segment: temporary name, then rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        copy_sorted(
            connection,
            f"SELECT * FROM {table} WHERE rowid BETWEEN {found.rowid_min} AND {found.rowid_max}",
            table,
            temporary,
        )
        crash_point("live.segment.before")
        return put_in_place(temporary, path, Segment(file=path.name, size_bytes=0, level=level, **found._asdict()))
    finally:
        temporary.unlink(missing_ok=True)


def copy_sorted(connection: duckdb.DuckDBPyConnection, select: str, table: str, target: Path) -> None:
    """Write what a SELECT gives to a Parquet file, in the order readers like."""
    connection.execute(f"COPY ({select} ORDER BY {_ORDER[table]}) TO {quote(target)} ({_PARQUET})")


def put_in_place(temporary: Path, path: Path, segment: Segment) -> Segment:
    """Give a finished file its name, and the segment its size."""
    temporary.chmod(CLOSED_FILE)
    size_bytes = temporary.stat().st_size
    temporary.rename(path)
    crash_point("live.segment.after")
    return msgspec.structs.replace(segment, file=path.name, size_bytes=size_bytes)


def merged(parts: Sequence[Segment], level: int) -> Segment:
    """Describe the segment that adjacent parts become; it has no name and size yet."""
    return Segment(
        file="merged.parquet",
        rows=sum(part.rows for part in parts),
        rowid_min=parts[0].rowid_min,
        rowid_max=parts[-1].rowid_max,
        timestamp_min_us=min(part.timestamp_min_us for part in parts),
        timestamp_max_us=max(part.timestamp_max_us for part in parts),
        trading_dates=tuple(sorted({day for part in parts for day in part.trading_dates})),
        size_bytes=0,
        level=level,
    )


def is_whole(path: Path, segment: Segment) -> bool:
    """Whether the file is there with the size and the rows the manifest says. Reads the footer only."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # brings Arrow's file systems, which readers of closed days never need

    try:
        if path.stat().st_size != segment.size_bytes:
            return False
        return bool(pq.read_metadata(path).num_rows == segment.rows)
    except (OSError, pa.ArrowException):
        return False


def quoted_list(paths: Iterable[Path]) -> str:
    """Spell paths as an SQL list."""
    return "[" + ", ".join(quote(path) for path in paths) + "]"


def boot_id() -> str:
    """Name this boot of the machine where the system can; after another boot unsynced files are not trusted."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:  # not Linux: sizes and footers have to do
        return os.name
