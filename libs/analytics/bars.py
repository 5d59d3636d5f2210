"""One symbol's bars as columns, without those that miss a value; and longer bars with when each could first be seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import NamedTuple

import numpy as np

from libs.bars.plan import closings
from libs.contracts import OHLCVBar
from libs.contracts.sessions import Session
from libs.core.clock import trading_date
from libs.core.errors import Refused
from libs.indicators.columns import Column, Floats, Integers, session_days

_NAMES = ("open", "high", "low", "close", "volume")


class BarColumns(NamedTuple):
    """Bars of one symbol and timeframe in time order; every value is finite."""

    timestamp_us: Integers
    columns: dict[str, Floats]

    def __len__(self) -> int:
        return int(self.timestamp_us.size)


def bar_columns(bars: Iterable[OHLCVBar] | Mapping[str, Column]) -> BarColumns:
    """Take bars, or columns by name (`timestamp_us open high low close volume`); bars missing a value are left out."""
    if not isinstance(bars, Mapping):
        held = list(bars)
        bars = {name: [getattr(bar, name) for bar in held] for name in ("timestamp_us", *_NAMES)}
    missing = [name for name in ("timestamp_us", *_NAMES) if name not in bars]
    if missing:
        raise Refused(f"columns of bars lack {', '.join(missing)}; found {', '.join(bars)}")
    timestamps = np.ascontiguousarray(bars["timestamp_us"], dtype=np.int64)
    columns = {name: np.ascontiguousarray(bars[name], dtype=np.float64) for name in _NAMES}
    lengths = {len(timestamps), *(len(column) for column in columns.values())}
    if len(lengths) > 1:
        raise Refused(f"columns of one length expected, found {sorted(lengths)}")
    if (np.diff(timestamps) <= 0).any():
        raise Refused("bars of one symbol in time order expected, each instant once")
    whole = np.logical_and.reduce([np.isfinite(column) for column in columns.values()])
    if not whole.all():
        timestamps, columns = timestamps[whole], {name: column[whole] for name, column in columns.items()}
    return BarColumns(timestamps, columns)


def is_whole(bar: OHLCVBar) -> bool:
    """Whether a bar misses no value."""
    return all(math.isfinite(getattr(bar, name)) for name in _NAMES)


def longer(bars: BarColumns, timeframe: str, sessions: Callable[[date], Session | None]) -> tuple[BarColumns, Integers]:
    """Lengthen bars; also give for each short bar which longer one is the newest complete (-1: none yet).

    A longer bar is complete with the last minute of its interval or, when that did not trade, with the next bar: what
    `libs.bars.Resampler` does.
    """
    size = len(bars)
    if not size:
        return bars, np.empty(0, np.int64)
    starts, is_closing = np.empty(size, np.int64), np.zeros(size, np.bool_)
    days = session_days(bars.timestamp_us)
    edges = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    for begin, end in zip(edges, [*edges[1:], size], strict=True):
        stamps = bars.timestamp_us[begin:end]
        session = _session_on(trading_date(int(stamps[0])), sessions)
        starts[begin:end] = [session.bar_start(stamp, timeframe) for stamp in stamps.tolist()]
        is_closing[begin:end] = np.isin(stamps, np.array(list(closings(session, (timeframe,))), np.int64))
    is_first = np.diff(starts, prepend=starts[0] - 1) != 0
    # The minute that closes an interval ends its bar even if, against the calendar, more of it should follow.
    is_first[1:] |= is_closing[:-1]
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], size) - 1
    old = bars.columns
    lengthened = BarColumns(
        starts[first],
        {
            "open": old["open"][first],
            "high": np.maximum.reduceat(old["high"], first),
            "low": np.minimum.reduceat(old["low"], first),
            "close": old["close"][last],
            "volume": np.add.reduceat(old["volume"], first),
        },
    )
    return lengthened, np.cumsum(is_first) - 2 + is_closing


def _session_on(day: date, sessions: Callable[[date], Session | None]) -> Session:
    session = sessions(day)
    if session is None:
        raise Refused(f"a bar on {day}, when the exchange was closed; correct the calendar or the bar")
    return session
