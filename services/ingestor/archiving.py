"""Old days to the archive while the ingestor lives: in a thread of its own, when it is asked to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec

from libs.core.clock import Clock, SystemClock
from libs.core.errors import FleetError, Refused, RetryLater
from libs.dbaccess import DatabaseManager, Role
from libs.dbaccess.archive import archive_days
from libs.runtime.logs import get_logger
from libs.settings import Settings
from services.ingestor.session_clock import SessionClock


@dataclass
class ArchiveFigures:
    """What the last run did, for `status`."""

    attempts: int = 0
    running: bool = False
    bytes_freed: int = 0
    days: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""


class Archiver:
    """Archives one run at a time. Which day is old enough goes by the market's clock, so a replay archives nothing."""

    def __init__(self, settings: Settings, session_clock: SessionClock) -> None:
        # A manager of its own: the lock of history keeps it and the rollover apart, which share theirs with nobody.
        clock: Clock = _MarketTime(session_clock)
        self._manager = DatabaseManager(settings.data_root, Role.INGESTOR, settings=settings, clock=clock)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self._stops = False
        self.figures = ArchiveFigures()

    def ask(self) -> dict[str, Any]:
        """Begin, unless it is being done; `attempts` is the count before, so that the asker sees it go up."""
        if self.figures.running:
            raise Refused("the archive is being made; ask again when it is done")
        self.figures = ArchiveFigures(self.figures.attempts, running=True)
        self._thread.submit(self._run)
        return {"attempts": self.figures.attempts}

    def shut(self) -> None:
        """Let the day that is being archived be the last, and wait for it."""
        self._stops = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _run(self) -> None:
        figures = self.figures
        try:
            found = archive_days(self._manager, report=self._report)
        except (FleetError, OSError) as e:
            figures.error = str(e)
            get_logger().error("archive.failed", error=str(e))
        else:
            figures.bytes_freed = found.bytes_freed
            figures.days = [msgspec.to_builtins(day) for day in found.days]
            get_logger().info("archive.done", days=len(figures.days), bytes_freed=figures.bytes_freed)
        figures.attempts += 1
        figures.running = False

    def _report(self, done: int, total: int, what: str) -> None:
        if self._stops:
            raise RetryLater(f"the ingestor stops after {what}, {done} of {total}; the next run goes on")


class _MarketTime(SystemClock):
    def __init__(self, session_clock: SessionClock) -> None:
        self._session_clock = session_clock

    def now_us(self) -> int:
        return self._session_clock.now_us()
