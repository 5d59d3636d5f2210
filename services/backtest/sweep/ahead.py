"""The bars of a sweep: read from the moment they are known, while what runs its points is still imported."""

from __future__ import annotations

from libs.core.clock import SystemClock
from libs.dbaccess import DatabaseManager, Role
from libs.settings import Settings
from services.backtest.bars import BarsReader
from services.backtest.wanted import Asking

#: More days are read side by side than for a run: a sweep has its bars in memory for long, and is waited for.
_DAYS_AT_ONCE = 100


def read_bars(settings: Settings, data_root: str, request: Asking) -> BarsReader:
    """Begin to read; to be closed by whoever asked for it."""
    db = DatabaseManager(data_root, Role.BACKTEST, settings=settings, clock=SystemClock())
    return BarsReader(db, request, days_at_once=_DAYS_AT_ONCE)
