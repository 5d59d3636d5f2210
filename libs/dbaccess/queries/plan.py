"""From which file each date of a request is read: one source a date, so that no row can come twice."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from libs.dbaccess.queries.catalogue import Catalogue, StoredFile
from libs.dbaccess.queries.live import LivePart
from libs.dbaccess.queries.request import SELDOM_STORED, Request


class Place(StrEnum):
    """Where a date's rows are."""

    HOT = "hot"
    ARCHIVE = "archive"
    LIVE = "live"


class Source(NamedTuple):
    """The files of one date in one place, and the timeframe of the rows in them."""

    place: Place
    timeframe: str | None
    files: tuple[StoredFile, ...] = ()
    segments: tuple[Path, ...] = ()


class DayPlan(NamedTuple):
    """How one date is read. With both, bars of symbols that are not in `stored` are made from `minutes`."""

    day: date
    stored: Source | None
    minutes: Source | None

    @property
    def source(self) -> Source:
        """The source that decides what the date's rows are called in a report."""
        return self.stored or self.minutes  # type: ignore[return-value]  # one of them is always there


#: Where a date's rows are, with its closed files or its pinned segments: what a `Source` is made of when it is read.
Found = tuple[Place, tuple[StoredFile, ...], tuple[Path, ...]]


def make_plan(
    request: Request, catalogue: Catalogue, live: LivePart | None, *, newest: int | None = None
) -> list[DayPlan]:
    """Choose for every date the closed file, else the archived ones, else the live snapshot; longer bars from 1m.

    The snapshot was pinned before: a date that is rolled over meanwhile is in it, in history, or in both. `newest`
    plans only so many closed dates, the newest; today's come on top.
    """
    if request.is_empty:
        return []
    stored = _find(request, request.timeframe, catalogue, live)
    longer = request.data_type == "candles" and request.timeframe != "1m"
    minutes = _find(request, "1m", catalogue, live) if longer else {}
    plans = []
    for day in _days(stored, minutes, newest):
        found, made = _source(stored.get(day), request.timeframe), _source(minutes.get(day), "1m")
        # Our own rollover writes 5m, 15m and 1d whole; the live buffer may not hold them yet.
        both = request.timeframe in SELDOM_STORED or (found is not None and found.place is Place.LIVE)
        plans.append(DayPlan(day, found, made if found is None or both else None))
    return plans


def stored_sources(
    request: Request, timeframe: str | None, catalogue: Catalogue, live: LivePart | None
) -> dict[date, Source]:
    """Give each date's source of rows of one timeframe."""
    found = _find(request, timeframe, catalogue, live)
    return {day: Source(place, timeframe, files, segments) for day, (place, files, segments) in found.items()}


def _days(stored: dict[date, Found], minutes: dict[date, Found], newest: int | None) -> list[date]:
    days = sorted(stored.keys() | minutes.keys())
    if newest is None:
        return days
    live = sum(1 for day in days[-2:] if (stored.get(day) or minutes[day])[0] is Place.LIVE)
    return days[-(newest + live) :] if newest + live else []


def _source(found: Found | None, timeframe: str | None) -> Source | None:
    return Source(found[0], timeframe, found[1], found[2]) if found else None


def _find(request: Request, timeframe: str | None, catalogue: Catalogue, live: LivePart | None) -> dict[date, Found]:
    """Find where each date's rows of one timeframe are."""
    asked = (request.exchange, request.data_type, timeframe, request.first_day, request.last_day)
    sources: dict[date, Found] = {day: (Place.HOT, (file,), ()) for day, file in catalogue.hot(*asked).items()}
    for day, files in catalogue.archived(*asked).items():
        sources.setdefault(day, (Place.ARCHIVE, files, ()))
    if live is not None and live.exchange == request.exchange:
        for day, segments in live.days(request.data_type).items():
            if request.first_day <= day <= request.last_day:
                sources.setdefault(day, (Place.LIVE, (), segments))
    return sources
