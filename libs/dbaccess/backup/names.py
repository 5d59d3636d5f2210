"""When a copy was made, by its name: a copy of a copy, made with another tool, has another time on it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from libs.core.clock import IST

_FORMS = ("trading_%Y%m%d_%H%M%S_%f", "config_%Y%m%d_%H%M%S_%f", "config_%Y%m%d", "%Y%m%d")


def named_time(path: Path) -> datetime | None:
    """Read it off a copy's file or folder; one without an hour is of its midnight, one of another form of no time."""
    for form in _FORMS:
        try:
            return datetime.strptime(path.name.removesuffix(".db"), form).replace(tzinfo=IST)
        except ValueError:
            continue
    return None
