"""Bars as columns, without a store: seeded walks on the tick grid over the minutes of real sessions."""

from __future__ import annotations

from datetime import date

import numpy as np

from libs.calendar import Calendar
from libs.core.clock import US_PER_MINUTE
from libs.trading.columns import Columns

CALENDAR = Calendar.load("nse")
DAYS = (date(2026, 2, 2), date(2026, 2, 12))


def columns(symbol: str, seed: int, *, missing: float = 0.0, start: date = DAYS[0], end: date = DAYS[1]) -> Columns:
    """A walk on the tick grid, with some minutes left out."""
    rng = np.random.default_rng(seed)
    stamps = np.concatenate([s.open_us + np.arange(375) * US_PER_MINUTE for s in CALENDAR.sessions(start, end)]).astype(
        np.int64
    )
    stamps = stamps[rng.random(len(stamps)) >= missing]
    close = np.round(np.round(np.exp(np.cumsum(rng.normal(0, 1.5e-3, len(stamps)))) * 500 / 0.05) * 0.05, 2)
    open_ = np.round(np.concatenate([[500.0], close[:-1]]), 2)
    high, low = np.round(np.maximum(open_, close) + 0.1, 2), np.round(np.minimum(open_, close) - 0.1, 2)
    return Columns(symbol, stamps, open_, high, low, close, np.full(len(stamps), 1000, dtype=np.int64))
