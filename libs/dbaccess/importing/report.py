"""What an import took, what it refused, and why."""

from __future__ import annotations

import msgspec

from libs.dbaccess.importing.plan import FilePlan

OUTSIDE = "outside trading hours"


class DayResult(msgspec.Struct, frozen=True):
    """What became of one date: `taken`, `same` (closed already with these rows) or `refused`, with the reason.

    Not in `rows` are those `outside` trading hours and, of a date that was not refused, repeats.
    """

    day: str
    state: str
    rows: int
    reason: str = ""
    derived: tuple[str, ...] = ()
    outside: int = 0
    repeated: int = 0


class ImportReport(msgspec.Struct):
    """The whole of an import. Every row read is taken, the same as one that was there, a repeat, or refused."""

    data_type: str
    exchange: str
    timeframe: str | None
    plans: list[FilePlan] = []
    rows_read: int = 0
    rows_taken: int = 0
    rows_same: int = 0
    rows_repeated: int = 0
    rows_refused: int = 0
    refused: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    days: list[DayResult] = []

    def refuse(self, reason: str, count: int, examples: list[str] | None = None) -> None:
        """Count rows that were not taken."""
        if count:
            self.rows_refused += count
            self.refused[reason] = self.refused.get(reason, 0) + count
            kept = self.examples.setdefault(reason, [])
            kept += (examples or [])[: 3 - len(kept)]

    def add(self, day: DayResult) -> None:
        """Count what became of a date."""
        self.days.append(day)
        self.refuse(OUTSIDE, day.outside, [day.day])
        self.rows_repeated += day.repeated
        if day.state == "taken":
            self.rows_taken += day.rows
        elif day.state == "same":
            self.rows_same += day.rows
        else:
            self.refuse(day.reason, day.rows, [day.day])
