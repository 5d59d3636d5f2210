"""Recovery at open, whatever the last owner died of: the DuckDB files are the truth, the snapshot is made to match."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping

import duckdb

from libs.core.clock import Clock
from libs.core.faults import crash_point
from libs.core.ids import random_id
from libs.dbaccess.errors import StoreCorrupt, StoreMissing
from libs.dbaccess.live.manifest import Column, Manifest, Segment, read_manifest, write_manifest
from libs.dbaccess.live.paths import TABLES, LivePaths
from libs.dbaccess.live.pins import sweep_pins
from libs.dbaccess.live.segments import boot_id, count_rows, is_whole, write_segment
from libs.settings.storage import Live

_HOUR_LEVEL = 2


def recover(
    paths: LivePaths,
    connections: Mapping[str, duckdb.DuckDBPyConnection],
    settings: Live,
    clock: Clock,
    exchange: str,
) -> Manifest:
    """Publish a manifest that holds exactly the committed rows, and remove every file it does not list.

    Segments are not synced, so those of an earlier boot are all written anew; else those that are whole are kept.
    """
    old = _last_manifest(paths)
    generation = (old.generation if old else _highest_generation(paths)) + 1
    trusted = old.segments if old and old.boot == boot_id() else {}
    restorer = _Restorer(paths, settings, generation)
    manifest = Manifest(
        generation=generation,
        published_at_us=clock.now_us(),
        exchange=exchange,
        boot=boot_id(),
        columns={table: read_columns(connections[table], table) for table in TABLES},
        watermarks={table: read_watermarks(connections[table]) for table in TABLES},
        segments={table: restorer.restore(connections[table], table, trusted.get(table, ())) for table in TABLES},
    )
    crash_point("live.recovery.before")
    write_manifest(paths.manifest, manifest)
    crash_point("live.recovery.after")
    _remove_strangers(paths, manifest)
    sweep_pins(paths)
    return manifest


def read_watermarks(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Read a file's own watermarks."""
    return {stream: int(seq) for stream, seq in connection.execute("SELECT stream, seq FROM meta").fetchall()}


def read_columns(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[Column, ...]:
    """Read the columns of a table with their types."""
    return tuple(Column(name, kind) for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall())


class _Restorer:
    """Writes what is missing of a table's segments."""

    def __init__(self, paths: LivePaths, settings: Live, generation: int) -> None:
        self._paths = paths
        self._rows_max = settings.rebuild_segment_rows_max
        self._prefix = f"{generation:010d}-r-{random_id(8)}"
        self._written = 0

    def restore(
        self, connection: duckdb.DuckDBPyConnection, table: str, listed: tuple[Segment, ...]
    ) -> tuple[Segment, ...]:
        """Give segments that cover every committed row once: those listed that are whole, the rest written anew."""
        (end,) = connection.execute(f"SELECT coalesce(max(rowid), -1) + 1 FROM {table}").fetchall()[0]
        if any(segment.rowid_max >= end for segment in listed):
            listed = ()  # of another file than this one: it was replaced by a fresh day or an older copy
        segments: list[Segment] = []
        position = 0
        for segment in sorted(listed, key=lambda segment: segment.rowid_min):
            if segment.rowid_min < position or not is_whole(self._paths.segment(segment.file), segment):
                continue
            segments += self._rebuild(connection, table, position, segment.rowid_min)
            segments.append(segment)
            position = segment.rowid_max + 1
        segments += self._rebuild(connection, table, position, end)
        return tuple(segments)

    def _rebuild(self, connection: duckdb.DuckDBPyConnection, table: str, start: int, stop: int) -> Iterator[Segment]:
        """Write the rows from `start` to before `stop`, in pieces a machine can sort."""
        for first in range(start, stop, self._rows_max):
            found = count_rows(connection, table, first, min(first + self._rows_max, stop) - 1)
            if found is None or found.rows != found.rowid_max - first + 1:
                raise StoreCorrupt(f"{self._paths.file(table)}: rows from rowid {first} on are missing from {table}")
            self._written += 1
            path = self._paths.segment(f"{table}-{self._prefix}-{self._written}.parquet")
            big = stop - start > self._rows_max // 10
            yield write_segment(connection, table, found, path, level=_HOUR_LEVEL if big else 0)


def _last_manifest(paths: LivePaths) -> Manifest | None:
    try:
        return read_manifest(paths.manifest)
    except (StoreMissing, StoreCorrupt):  # it says nothing the DuckDB files don't
        return None


def _highest_generation(paths: LivePaths) -> int:
    """Read the highest generation out of the names of the segments, so that generations grow past a lost manifest."""
    numbers = (path.name.split("-")[1:2] for path in paths.segments.glob("*.parquet"))
    return max((int(number) for (number,) in (n for n in numbers if n) if number.isdigit()), default=0)


def _remove_strangers(paths: LivePaths, manifest: Manifest) -> None:
    """Remove what no manifest lists: segments never published, parts already merged, files half written."""
    listed = set(manifest.files())
    for path in paths.segments.iterdir():
        if path.name in listed:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for path in paths.root.glob(f".{paths.manifest.name}.*.tmp"):
        path.unlink()
