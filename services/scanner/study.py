"""Analytics as the scanner runs them: a day begins anew, warmed up with so many bars before it, live and recomputed.

So a row depends on the bars only: what was found live, after a restart, and by a later update are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from itertools import zip_longest
from typing import Any

import msgspec
import numpy as np

from libs.analytics.study import Findings, LiveAnalytics, analyse
from libs.contracts import OHLCVBar
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, day_start_us, trading_date
from libs.dbaccess import DatabaseManager, MarketDataQuery
from services.scanner.history import bars_of

#: Enough for the slowest figure, MACD on 15 minutes built from 1 minute.
WARMUP_BARS = 750
Sessions = Callable[[date], Session | None]
_COLUMNS = ("open", "high", "low", "close", "volume")


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to recompute; without dates the newest day of each symbol."""

    symbols: tuple[str, ...]
    timeframes: tuple[str, ...]
    first: date | None = None
    last: date | None = None


class Study:
    """Live analytics over some symbols, a day at a time. Belongs to one thread at a time."""

    def __init__(
        self, manager: DatabaseManager, exchange: str, symbols: Iterable[str], timeframes: Iterable[str],
        sessions: Sessions,
    ) -> None:  # fmt: skip
        self.symbols = frozenset(symbols)
        self.timeframes = frozenset(timeframes)
        self._manager = manager
        self._exchange = exchange
        self._sessions = sessions
        self._date: date | None = None
        self._live: dict[str, LiveAnalytics] = {}

    def take(self, bars: Sequence[OHLCVBar]) -> list[Findings]:
        """Take the bars that closed with one minute; give what is known of each now, a timeframe an entry."""
        mine = [bar for bar in bars if bar.symbol in self.symbols and bar.timeframe in self.timeframes]
        if not mine:
            return []
        today = trading_date(mine[0].timestamp_us)
        if today != self._date:
            self._date = today
            self._live = {timeframe: self._begin(timeframe, day_start_us(today)) for timeframe in self.timeframes}
        return [
            self._live[timeframe].update([bar for bar in mine if bar.timeframe == timeframe])
            for timeframe in sorted({bar.timeframe for bar in mine})
        ]

    def _begin(self, timeframe: str, day_us: int) -> LiveAnalytics:
        live = LiveAnalytics(timeframe=timeframe, sessions=self._sessions)
        with MarketDataQuery(self._manager) as query:
            pasts = [
                bars_of(_before(query, symbol, self._exchange, timeframe, day_us), self._exchange)
                for symbol in sorted(self.symbols)
            ]
        for together in zip_longest(*pasts):
            live.update([bar for bar in together if bar is not None])
        return live


def recomputed(
    manager: DatabaseManager, exchange: str, symbol: str, timeframe: str, asked: Asked, sessions: Sessions
) -> list[Findings]:
    """Compute one symbol's days again; a day without bars gives nothing."""
    with MarketDataQuery(manager) as query:
        newest = query.last_candles(symbol, exchange, timeframe, 1, output="arrow")
        if not newest.num_rows:
            return []
        newest_date = trading_date(int(newest["timestamp"].cast("int64")[0].as_py()))
        first, last = asked.first or newest_date, asked.last or newest_date
        found = []
        for day in range(day_start_us(first), day_start_us(last) + 1, US_PER_DAY):
            today = query.get_candles(symbol, exchange, timeframe, day, day + US_PER_DAY, output="arrow")
            if today.num_rows:
                before = _before(query, symbol, exchange, timeframe, day)
                found.append(
                    analyse(
                        _columns(before, today), symbol=symbol, timeframe=timeframe, exchange=exchange,
                        sessions=sessions, since_us=day,
                    )
                )  # fmt: skip
    return found


def _before(query: MarketDataQuery, symbol: str, exchange: str, timeframe: str, before_us: int) -> Any:
    return query.last_candles(symbol, exchange, timeframe, WARMUP_BARS, before=before_us, output="arrow")


def _columns(*tables: Any) -> Mapping[str, Any]:
    return {
        "timestamp_us": np.concatenate([table["timestamp"].cast("int64").to_numpy() for table in tables]),
        **{name: np.concatenate([table[name].to_numpy() for table in tables]) for name in _COLUMNS},
    }
