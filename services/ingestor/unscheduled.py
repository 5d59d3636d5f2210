"""Trades on a date on which the calendar knows no session: said aloud, and enough of them kept to be believed."""

from __future__ import annotations

from datetime import date

from libs.bars.validate import Reason
from libs.contracts import Tick
from libs.runtime.logs import get_logger
from services.ingestor.rows import Quarantine

#: Such a session may last for hours; the quarantine is no place for all of it.
_KEPT_MAX = 1000


class Unscheduled:
    """Counts the trades of the last such date."""

    def __init__(self) -> None:
        self.date: date | None = None
        self.ticks = 0

    def take(self, tick: Tick, day: date, seq: int) -> Quarantine | None:
        """Count a trade of today; give the row to keep of it, or None when there are enough."""
        if self.date != day:
            self.date, self.ticks = day, 0
            get_logger().error("capture.no_session", date=day.isoformat(), symbol=tick.symbol)
        self.ticks += 1
        if self.ticks > _KEPT_MAX:
            return None
        detail = f"traded on {day}, on which the calendar has no session"
        return Quarantine(Reason.OTHER_DAY.value, detail, tick.received_us, seq, tick)
