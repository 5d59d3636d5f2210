"""The archive, made by the ingestor when it lives and in its place when it does not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from libs.core.clock import Clock, SystemClock
from libs.core.errors import FleetError, OutcomeUnknown, Refused, RetryLater
from libs.dbaccess import DatabaseManager, Role, WriterLockHeld
from libs.dbaccess.archive import ArchivedDay, ArchiveReport, archive_days
from libs.dbaccess.layout import Layout
from libs.dbaccess.owners import refuse_living_owner
from libs.messaging import CommandClient
from libs.settings import Settings

#: A year of minutes, left over from before, takes hours.
_PATIENCE_S = 6 * 3600
_LOOK_S = 0.5

Report = Callable[[int, int, str], None]


def archive(settings: Settings, clock: Clock, report: Report) -> ArchiveReport:
    """Move what is old enough, or have it moved; `WriterLockHeld` when there is an owner who does not answer."""
    db = DatabaseManager(settings.data_root, Role.INGESTOR, settings=settings, clock=clock)
    try:
        refuse_living_owner(db.layout)
    except WriterLockHeld as held:
        return _have_it_done(settings, db.layout, held)
    return archive_days(db, report=report)


def _have_it_done(settings: Settings, layout: Layout, held: WriterLockHeld) -> ArchiveReport:
    clock = SystemClock()  # how long we wait has nothing to do with the market's time
    with CommandClient("ingestor", settings=settings) as client:
        try:
            before = client.call("archive")["attempts"]
        except (RetryLater, OutcomeUnknown) as e:
            raise held from e
        end_ns = clock.monotonic_ns() + _PATIENCE_S * 1_000_000_000
        while clock.monotonic_ns() < end_ns:
            try:
                found = client.call("status")["archive"]
            except FleetError:
                found = None
            if _is_gone(layout) if found is None else not (found["running"] or found["attempts"] > before):
                raise RetryLater("the ingestor ended while it archived; no day is lost, and the next run goes on")
            if found and found["attempts"] > before:
                if found["error"]:
                    raise Refused(f"the ingestor could not archive: {found['error']}")
                days = msgspec.convert(found["days"], list[ArchivedDay])
                return ArchiveReport(dry_run=False, days=days)
            clock.sleep(_LOOK_S)
    raise OutcomeUnknown(f"the ingestor has been at it for {_PATIENCE_S} s; look at `fleet logs ingestor`")


def _is_gone(layout: Layout) -> bool:
    """Whether the owner who does not answer is none any more, instead of only busy."""
    try:
        refuse_living_owner(layout)
    except WriterLockHeld:
        return False
    return True
