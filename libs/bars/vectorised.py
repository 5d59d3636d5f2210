"""Whole columns at once: 1m bars to longer ones. Equal to the streaming form, bar for bar.

Frames are polars; times are the integer column `timestamp_us`. `libs.bars` does not import this: polars loads slowly.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from libs.contracts.market import TIMEFRAMES
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us, trading_date
from libs.core.errors import Refused

_IST_OFFSET_US = US_PER_DAY - day_start_us(date(1970, 1, 2))


def resample(bars: pl.DataFrame, timeframe: str, session_of: Callable[[date], Session | None]) -> pl.DataFrame:
    """Lengthen 1m bars of any symbols and days: columns symbol, timestamp_us, open, high, low, close, volume."""
    starts = bar_starts(bars["timestamp_us"].to_numpy(), timeframe, session_of)
    return (
        bars.lazy()
        .with_columns(start=pl.Series(starts))
        .sort("symbol", "timestamp_us")
        .group_by("symbol", "start", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
        .rename({"start": "timestamp_us"})
        .sort("symbol", "timestamp_us")
        .collect()
    )


def bar_starts(
    instants_us: NDArray[np.int64], timeframe: str, session_of: Callable[[date], Session | None]
) -> NDArray[np.int64]:
    """Give for each instant the start of its bar, as `Session.bar_start` does for one."""
    day_number = (instants_us + _IST_OFFSET_US) // US_PER_DAY
    days, positions = np.unique(day_number, return_inverse=True)
    midnights = days * US_PER_DAY - _IST_OFFSET_US
    if timeframe == "1d":
        return np.asarray(midnights[positions], dtype=np.int64)
    anchors = np.array([_open_us(trading_date(int(midnight)), session_of) for midnight in midnights], dtype=np.int64)
    anchor = anchors[positions]
    length = TIMEFRAMES[timeframe] * US_PER_MINUTE
    return np.asarray(anchor + (instants_us - anchor) // length * length, dtype=np.int64)


def _open_us(day: date, session_of: Callable[[date], Session | None]) -> int:
    session = session_of(day)
    if session is None:
        raise Refused(f"a bar on {day}, when the exchange was closed; correct the calendar or the bar")
    return session.open_us
