"""The calendar of a data root: our dated rules, and over them what the ingestor learned from the broker."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from libs.calendar import Calendar, CalendarError
from libs.calendar.data import Overrides
from libs.calendar.learned import Learned, joined, read_learned
from libs.contracts.sessions import Session
from libs.dbaccess.files import write_atomically
from libs.dbaccess.layout import Layout
from libs.dbaccess.roles import Store, require_owner

if TYPE_CHECKING:  # it brings DuckDB, of which dates need nothing
    from libs.dbaccess.manager import DatabaseManager


def load_calendar(root: Path | str, exchange: str) -> Calendar:
    """Give the calendar as it is now, for whoever is done before it changes."""
    return Calendar.load(exchange, learned=Layout(root).calendar(exchange))


def keep_learned(db: DatabaseManager, exchange: str, dates: Overrides, since: date) -> bool:
    """Keep the broker's word on the dates from `since` on; say whether that changed anything."""
    require_owner(db.role, Store.LIVE)
    path = db.layout.calendar(exchange)
    old = read_learned(path, exchange)
    new = joined(old, dates, since)
    if new == old:
        return False
    write_atomically(path, Learned(exchange, db.clock.now_us(), new).encode())
    return True


class FollowedCalendar(Calendar):
    """A calendar for a process that lives for days: once the ingestor learned more, it answers by that.

    A file that cannot be read then changes nothing; at the start it is refused.
    """

    def __init__(self, root: Path | str, exchange: str) -> None:
        self._root, self._name = root, exchange
        self._path = Layout(root).calendar(exchange)
        self._seen = self._look()
        super().__init__(load_calendar(root, exchange).rules)

    def session(self, day: date) -> Session | None:
        """Give a date's session, or None when the exchange is closed."""
        found = self._look()
        if found != self._seen:
            self._seen = found
            with suppress(CalendarError):  # `fleet calendar` and every new process say so
                super().__init__(load_calendar(self._root, self._name).rules)
        return super().session(day)

    def _look(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_mtime_ns
