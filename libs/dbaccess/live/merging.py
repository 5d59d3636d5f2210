"""Merging segments, so that a snapshot has few files however long the day: by the minute, then by the hour.

The work is done in a thread of its own, in a DuckDB of its own, from Parquet files only: a flush never waits for it,
and the live DuckDB files are never opened a second way. The flush after it puts the result into the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import duckdb

from libs.core.faults import crash_point
from libs.dbaccess.connections import duckdb_memory, quote
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.live.manifest import Segment
from libs.dbaccess.live.paths import LivePaths
from libs.dbaccess.live.segments import copy_sorted, quoted_list
from libs.settings.storage import Live


class Merge(NamedTuple):
    """Adjacent segments of one table that become one of the next level."""

    table: str
    parts: tuple[Segment, ...]

    @property
    def level(self) -> int:
        return self.parts[0].level + 1


def next_merge(segments: Mapping[str, Sequence[Segment]], settings: Live) -> Merge | None:
    """Choose what to merge: flushes before minutes, for there are more of them. None when there are few enough."""
    for level, enough in enumerate((settings.merge_minute_segments_min, settings.merge_hour_segments_min)):
        for table, listed in segments.items():
            for found, run in groupby(listed, key=lambda segment: segment.level):
                parts = tuple(run)
                if found == level and len(parts) >= enough:
                    return Merge(table, parts)
    return None


class Merger:
    """At most one merge at a time, in the background."""

    def __init__(self, paths: LivePaths, settings: Live) -> None:
        self._paths = paths
        self._settings = settings
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="live-merge")
        self._running: tuple[Merge, Future[None]] | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._closing = False

    @property
    def busy(self) -> bool:
        """Whether a merge was started and not yet taken."""
        return self._running is not None

    @property
    def target(self) -> Path:
        """Where a finished merge lies until it is taken."""
        return self._paths.segments / ".merge.tmp"

    def start(self, merge: Merge) -> None:
        """Begin a merge; the parts stay as they are."""
        self._running = (merge, self._pool.submit(self._work, merge))

    def take(self) -> Merge | None:
        """Give the merge that is done, its file under `target`; None while there is none. Raises what it raised."""
        if self._running is None or not self._running[1].done():
            return None
        (merge, future), self._running = self._running, None
        future.result()
        return merge

    def wait(self) -> None:
        """Wait until the running merge, if any, is done; it is still to be taken."""
        if self._running is not None:
            self._running[1].exception()

    def close(self) -> None:
        """Break off what is running and leave no file of it."""
        self._closing = True
        if (connection := self._connection) is not None:
            connection.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.target.unlink(missing_ok=True)

    def _work(self, merge: Merge) -> None:
        files = [self._paths.segment(part.file) for part in merge.parts]
        with duckdb_memory(memory_max_mib=self._settings.merge_memory_max_mib, threads_max=1) as connection:
            connection.execute(f"SET temp_directory = {quote(self._paths.spill)}")
            self._connection = connection
            try:
                if self._closing:
                    return
                copy_sorted(connection, f"SELECT * FROM read_parquet({quoted_list(files)})", merge.table, self.target)
                (rows,) = connection.execute(f"SELECT count(*) FROM read_parquet({quote(self.target)})").fetchall()[0]
            finally:
                self._connection = None
        expected = sum(part.rows for part in merge.parts)
        if rows != expected:
            raise StoreCorrupt(
                f"{files[0]} and {len(files) - 1} more: {rows} rows in them, the manifest says {expected}"
            )
        crash_point("live.merge.before")
