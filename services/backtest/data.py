"""The bars of a run, read once from closed days, and what is to be said of their quality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from libs.contracts.sessions import Session
from libs.core.clock import trading_date
from libs.dbaccess.calendars import load_calendar
from libs.indicators.columns import session_days
from libs.orders.instrument import Instrument
from libs.trading.columns import ROWS_AT_A_TIME, Columns
from services.backtest.bars import DAYS_AT_ONCE, BarsReader, BarsSource, NoCandles
from services.backtest.request import RunRequest

if TYPE_CHECKING:  # a sweep whose bars another process reads never opens DuckDB
    from libs.dbaccess import DatabaseManager

#: A price that opens this far from yesterday's close is more likely a split or a bonus than a move.
CORPORATE_GAP_RATIO = 0.2
_FINE_TICK, _TICK = 0.01, 0.05


class SymbolData(msgspec.Struct, frozen=True):
    """What there is of one symbol."""

    symbol: str
    bars: int
    bars_expected: int
    days: int
    gaps: tuple[tuple[str, float], ...] = ()


class RunData(msgspec.Struct, frozen=True, dict=True):
    """Columns by symbol, and days asked for, found and missing."""

    columns: tuple[Columns, ...]
    warm_up: tuple[Columns, ...]
    days_missing: tuple[date, ...]
    symbols: tuple[SymbolData, ...]

    @cached_property
    def fingerprint(self) -> str:
        """Give the hash of all that was read; of 20 MB it takes long enough to be asked for on a thread of its own."""
        return _fingerprint((*self.warm_up, *self.columns))

    @property
    def bars(self) -> int:
        """Count the bars that will be run."""
        return sum(map(len, self.columns))

    def describe(self) -> dict[str, Any]:
        """Say it for the run file."""
        expected = sum(each.bars_expected for each in self.symbols)
        return {
            "bars": self.bars,
            "bars_expected": expected,
            "completeness": round(self.bars / expected, 6) if expected else None,
            "days_missing": [day.isoformat() for day in self.days_missing],
            "symbols": msgspec.to_builtins(self.symbols),
        }


def load_data(
    db: DatabaseManager, request: RunRequest, warmup_bars: int, *, days_at_once: int = DAYS_AT_ONCE
) -> RunData:  # fmt: skip
    """Read a run's bars and wait for them."""
    with BarsReader(db, request, days_at_once=days_at_once) as bars:
        return load(bars, warmup_bars)


def load(bars: BarsSource, warmup_bars: int) -> RunData:
    """Take the run's bars, and so many before them for its warm-up, from closed days; refuse a run without any."""
    request = bars.request
    # Made while the bars are still being read.
    sessions = tuple(load_calendar(bars.db.layout.root, request.exchange).sessions(request.start, request.end))
    columns, warm_up = take(bars, warmup_bars)
    return RunData(
        columns, warm_up, bars.bars().days_missing,
        tuple(
            _quality(each, warm_up, _bars_expected(sessions, request.timeframe, each.timestamps)) for each in columns
        ),
    )  # fmt: skip


def take(bars: BarsSource, warmup_bars: int) -> tuple[tuple[Columns, ...], tuple[Columns, ...]]:
    """Take the bars, and so many before them for a warm-up, without a word on their quality."""
    request = bars.request
    columns = tuple(Columns(*each) for each in bars.bars().columns)
    warm_up: tuple[Columns, ...] = ()
    if warmup_bars:
        warm_up = tuple(Columns(*part) for each in columns for part in bars.before(each.symbol, warmup_bars))
    absent = sorted(set(request.symbols_all) - {each.symbol for each in columns})
    if absent:
        trades = load_calendar(bars.db.layout.root, request.exchange).trading_days(request.start, request.end)
        why = f"`fleet coverage --symbols {','.join(absent)}` shows what there is"
        raise NoCandles(
            f"no {request.timeframe} candles of {', '.join(absent)} on {request.exchange} from {request.start} to "
            f"{request.end}; {why if trades else 'it does not trade then'}"
        )
    return columns, warm_up


def instrument_of(request: RunRequest, columns: Columns) -> Instrument:
    """Give the rules the request names for a symbol, else a share whose tick size follows from its prices."""
    for instrument in request.instruments:
        if instrument.symbol == columns.symbol:
            return instrument
    tick_size = tick_size_of(columns.open, columns.close)
    return Instrument(symbol=columns.symbol, exchange=request.exchange, tick_size=tick_size)


def tick_size_of(*prices: NDArray[np.float64]) -> float:
    """Give the coarser of a share's two usual tick sizes that all prices are multiples of."""
    for start in range(0, max(map(len, prices), default=0), ROWS_AT_A_TIME):
        for column in prices:
            ticks = column[start : start + ROWS_AT_A_TIME] / _TICK
            if not np.all(np.abs(ticks - np.rint(ticks)) < 1e-6):
                return _FINE_TICK
    return _TICK


def _fingerprint(parts: tuple[Columns, ...]) -> str:
    digest = blake2b(digest_size=16)
    for each in parts:
        digest.update(f"{each.symbol}:{len(each)};".encode())
        for column in (each.timestamps, each.open, each.high, each.low, each.close, each.volume):
            digest.update(np.ascontiguousarray(column).data)
    return digest.hexdigest()


def _bars_expected(sessions: Sequence[Session], timeframe: str, timestamps: NDArray[np.int64]) -> int:
    """Count the bars a share should have; one that ends its day in the closing auction shows it and has fewer."""
    total = 0
    alike: dict[tuple[object, ...], int] = {}
    for session in sessions:
        takes_part = False
        if session.auction_open_us:
            edges = np.searchsorted(timestamps, (session.auction_open_us, session.close_us, session.last_us))
            others_only, auctioned = np.diff(edges)
            takes_part = bool(auctioned and not others_only)
        # Most days are like each other but for their date, and to go through their minutes takes long.
        spans = session.spans_of(closing_auction=takes_part)
        shape = tuple(edge - session.open_us for span in spans for edge in span)
        if shape not in alike:
            alike[shape] = len(session.bar_starts(timeframe, closing_auction=takes_part))
        total += alike[shape]
    return total


def _quality(columns: Columns, warm_up: Sequence[Columns], bars_expected: int) -> SymbolData:
    """Find the days that open far from the last close there was; averages reach over those of the warm-up, too."""
    gaps: list[tuple[str, float]] = []
    close = math.nan
    for part in (*(each for each in warm_up if each.symbol == columns.symbol and len(each)), columns):
        firsts = np.flatnonzero(np.diff(session_days(part.timestamps), prepend=-1))
        before = part.close[firsts - 1]
        before[0] = close
        ratios = part.open[firsts] / before - 1.0
        for at in np.flatnonzero(np.abs(ratios) >= CORPORATE_GAP_RATIO).tolist():
            day = trading_date(int(part.timestamps[firsts[at]]))
            gaps.append((day.isoformat(), round(float(ratios[at]), 4)))
        close = float(part.close[-1])
    return SymbolData(columns.symbol, len(columns), bars_expected, len(firsts), tuple(gaps))
