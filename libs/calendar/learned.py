"""What the broker said about an exchange's dates, as a file: every process of a data root sees the same sessions by it.

The ingestor writes it; a person may remove it, and has our own dated rules back.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec

from libs.calendar.data import CalendarError, Overrides


class Learned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Dates that are other than our rules say. Those that are past stay: their history was captured by them."""

    exchange: str
    learned_at_us: int
    dates: Overrides

    def encode(self) -> bytes:
        """Give the file's bytes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def read_learned(path: Path, exchange: str) -> Overrides:
    """Read what was learned; nothing when there is no such file."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Learned)
    except FileNotFoundError:
        return Overrides()
    except (OSError, msgspec.DecodeError, ValueError) as e:
        raise CalendarError(f"{path}: cannot be read: {e}; remove it, the ingestor asks the broker again") from e
    if found.exchange != exchange:
        raise CalendarError(f"{path}: exchange is {found.exchange!r}; expected {exchange!r}")
    return found.dates


def joined(old: Overrides, new: Overrides, since: date) -> Overrides:
    """Give what stands once the broker spoke of the dates from `since` on: of those its newest word, else the old."""
    special = [row for row in old.special if row.date < since] + [row for row in new.special if row.date >= since]
    return Overrides(
        holidays={day: name for day, name in old.holidays.items() if day < since}
        | {day: name for day, name in new.holidays.items() if day >= since},
        special=tuple(special),
        open=tuple(day for day in old.open if day < since) + tuple(day for day in new.open if day >= since),
    )
