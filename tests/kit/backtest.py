"""Small histories to run backtests on: seeded random walks on the tick grid, a few days of a few symbols."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from libs.calendar import Calendar
from libs.dbaccess import DatabaseManager, Role
from tests.kit.market_days import OPEN_MINUTE, at_us, close_day
from tests.kit.roots import copy_stores, settings

FIRST, LAST = date(2026, 2, 2), date(2026, 2, 4)


def walk(symbol: str, day: date, rng: np.random.Generator, count: int = 375) -> list[dict[str, Any]]:
    """A day of minutes: each opens near the last close, prices are multiples of 0.05."""
    closes = 100 + np.cumsum(rng.normal(0, 0.15, count))
    opens = np.concatenate([[100.0], closes[:-1]]) + rng.normal(0, 0.03, count)
    rows = []
    for n, prices in enumerate(zip(opens, closes, strict=True)):
        o, c = (round(round(price / 0.05) * 0.05, 2) for price in prices)
        rows.append(
            {"symbol": symbol, "timeframe": "1m", "timestamp": at_us(day, OPEN_MINUTE + n), "open": o,
             "high": round(max(o, c) + 0.1, 2), "low": round(min(o, c) - 0.1, 2), "close": c, "volume": 1000 + n}
        )  # fmt: skip
    return rows


def make_history(
    root: Path, symbols: tuple[str, ...] = ("ACME", "BETA"), seed: int = 1, last: date = LAST, count: int = 375
) -> Path:
    """Every store, and closed days of so many minutes."""
    copy_stores(root)
    rng = np.random.default_rng(seed)
    for day in Calendar.load("nse").trading_days(FIRST, last):
        close_day(root, day, [row for symbol in symbols for row in walk(symbol, day, rng, count)])
    return root


def runner_manager(root: Path) -> DatabaseManager:
    """A manager that may run backtests."""
    return DatabaseManager(root, Role.BACKTEST, settings=settings())


def index_manager(root: Path) -> DatabaseManager:
    """A manager that may write the index."""
    return DatabaseManager(root, Role.BACKTEST_INDEX, settings=settings())
