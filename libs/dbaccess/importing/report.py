"""What an import took, what it refused, and why."""

from __future__ import annotations

import msgspec

from libs.dbaccess.importing.plan import FilePlan


class DayResult(msgspec.Struct, frozen=True):
    """What became of one date: `taken`, `same` (closed already with these rows) or `refused`, with the reason."""

    day: str
    state: str
    rows: int
    reason: str = ""
    derived: tuple[str, ...] = ()


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
