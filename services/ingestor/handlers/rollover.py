"""`rollover`: a person wants a day in history now; what became of it is in `status`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from typing import Any

from libs.core.errors import Refused
from services.ingestor.rollover import DayCloser


def rollover(closer: DayCloser, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Put it in line; `attempts` is the count before, so that the asker sees it go up while this process lives."""
    try:
        day = date.fromisoformat(str(arguments["date"]))
    except (KeyError, ValueError) as e:
        raise Refused(f"rollover of {arguments.get('date')!r}: give a date as YYYY-MM-DD") from e
    if closer.figures.running:
        raise Refused(f"a rollover of {closer.figures.date} is running; ask again when it is done")
    closer.ask(day)
    return {"date": day.isoformat(), "attempts": closer.figures.attempts, "pid": os.getpid()}
