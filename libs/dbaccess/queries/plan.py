"""From which file each date of a request is read: one source a date, so that no row can come twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from libs.dbaccess.queries.catalogue import Catalogue, StoredFile
from libs.dbaccess.queries.live import LivePart
from libs.dbaccess.queries.request import SELDOM_STORED, Request


class Place(StrEnum):
    """Where a date's rows are."""

    HOT = "hot"
    ARCHIVE = "archive"
    LIVE = "live"


@dataclass(frozen=True)
class Source:
    """The files of one date in one place, and the timeframe of the rows in them."""

    place: Place
    timeframe: str | None
    files: tuple[StoredFile, ...] = ()
    segments: tuple[Path, ...] = ()


@dataclass(frozen=True)
class DayPlan:
    """How one date is read. With both, bars of symbols that are not in `stored` are made from `minutes`."""

    day: date
    stored: Source | None
    minutes: Source | None

    @property
    def source(self) -> Source:
        """The source that decides what the date's rows are called in a report."""
        return self.stored or self.minutes  # type: ignore[return-value]  # one of them is always there


def make_plan(request: Request, catalogue: Catalogue, live: LivePart | None) -> list[DayPlan]:
    """Choose for every date the closed file, else the archived ones, else the live snapshot; longer bars from 1m.

    The snapshot was pinned before: a date that is rolled over meanwhile is in it, in history, or in both.
    """
    if request.is_empty:
        return []
    stored = stored_sources(request, request.timeframe, catalogue, live)
    if request.data_type == "ticks" or request.timeframe == "1m":
        return [DayPlan(day, source, None) for day, source in sorted(stored.items())]
    minutes = stored_sources(request, "1m", catalogue, live)
    plans = []
    for day in sorted(stored.keys() | minutes.keys()):
        found, made = stored.get(day), minutes.get(day)
        # Our own rollover writes 5m, 15m and 1d whole; the live buffer may not hold them yet.
        both = request.timeframe in SELDOM_STORED or (found is not None and found.place is Place.LIVE)
        plans.append(DayPlan(day, found, made if found is None or both else None))
    return plans


def stored_sources(
    request: Request, timeframe: str | None, catalogue: Catalogue, live: LivePart | None
) -> dict[date, Source]:
    """Find each date's source of rows of one timeframe."""
    asked = (request.exchange, request.data_type, timeframe, request.first_day, request.last_day)
    sources = {day: Source(Place.HOT, timeframe, (file,)) for day, file in catalogue.hot(*asked).items()}
    for day, files in catalogue.archived(*asked).items():
        sources.setdefault(day, Source(Place.ARCHIVE, timeframe, files))
    if live is not None and live.exchange == request.exchange:
        for day, segments in live.days(request.data_type).items():
            if request.first_day <= day <= request.last_day:
                sources.setdefault(day, Source(Place.LIVE, timeframe, segments=segments))
    return sources
