"""Today's rows: the live buffer's snapshot, pinned only when the interval may hold some of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from libs.dbaccess.errors import StoreMissing
from libs.dbaccess.layout import Layout
from libs.dbaccess.live.manifest import read_manifest
from libs.dbaccess.live.paths import LivePaths
from libs.dbaccess.live.pins import Snapshot, pin_snapshot
from libs.settings.storage import Live


class LivePart:
    """One pinned snapshot, as the planner sees it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.exchange = snapshot.manifest.exchange

    def days(self, table: str) -> dict[date, tuple[Path, ...]]:
        """Give the pinned segments that hold rows of each date."""
        segments = self._snapshot.manifest.segments[table]
        days = sorted({day for segment in segments for day in segment.trading_dates})
        return {
            day: tuple(self._snapshot.directory / part.file for part in segments if day in part.trading_dates)
            for day in days
        }


@contextmanager
def live_part(layout: Layout, settings: Live, first: date, last: date) -> Iterator[LivePart | None]:
    """Pin the snapshot for the block; None when there is none or it holds no date from first to last.

    Looking at the manifest before pinning loses nothing: a date that is no longer in it is in history already, and
    history is listed later.
    """
    try:
        wanted = any(first <= day <= last for day in read_manifest(LivePaths(layout).manifest).trading_dates)
    except StoreMissing:
        wanted = False
    if not wanted:
        yield None
        return
    with pin_snapshot(layout, settings) as snapshot:
        yield LivePart(snapshot)
