"""Runs the scans on the newest minute, in a thread of its own: strategies never wait for them.

A scan looks at the market as it is. Minutes that passed while an earlier one was scanned, or while the day was caught
up with, are in the panel and are not scanned themselves; how many is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np

from libs.contracts.analytics import ScanPick, ScanResult
from libs.contracts.market import TIMEFRAMES
from libs.core.clock import trading_date
from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.indicators.columns import Floats
from libs.scanners.interface import BaseScan, pick
from libs.scanners.panel import Panel
from services.scanner.minutes import Minute
from services.scanner.scan_configs import ScanConfig
from services.scanner.window import Window

_YEAR = timedelta(days=365)
Days = dict[str, Floats]
#: What earlier days say of some symbols: previous close, highest and lowest of a year.
DaysOf = Callable[[Sequence[str], date], Days]


class Scans:
    """The scans of one run. `add` and `due` belong to the loop; what `due` gives may be scanned in a thread."""

    def __init__(self, configs: Sequence[ScanConfig], exchange: str, days_of: DaysOf, *, picks_max: int) -> None:
        self._scans: list[tuple[ScanConfig, BaseScan[Any]]] = [(config, config.make()) for config in configs]
        self._exchange = exchange
        self._days_of = days_of
        self._picks_max = picks_max
        self._timeframes = {config.timeframe for config in configs}
        self._windows: dict[str, Window] = {}
        self._newest: dict[str, int] = {}
        self._date: date | None = None
        self._days: dict[tuple[str, ...], Days] = {}
        #: Timeframes' instants that were not scanned because a newer one was there.
        self.passed_over = 0

    def add(self, minute: Minute) -> None:
        """Take a whole minute's bars of every timeframe."""
        today = trading_date(minute.closed.timestamp_us)
        if today != self._date:
            self._date = today
            self._windows, self._newest, self._days = {}, {}, {}
        by_timeframe: dict[str, list[Any]] = {}
        for bar in minute.bars:
            if bar.timeframe in self._timeframes:
                by_timeframe.setdefault(bar.timeframe, []).append(bar)
        for timeframe, bars in by_timeframe.items():
            at_us = bars[0].timestamp_us
            self._windows.setdefault(timeframe, Window()).add(at_us, bars)
            self.passed_over += timeframe in self._newest
            self._newest[timeframe] = at_us

    def due(self) -> list[Callable[[], ScanResult]]:
        """Give what is to be scanned now; each may be called in another thread."""
        newest, self._newest = self._newest, {}
        return [
            self._work(config, scan, self._windows[config.timeframe].panel(config.symbols), at_us)
            for timeframe, at_us in sorted(newest.items(), key=lambda item: TIMEFRAMES[item[0]])
            for config, scan in self._scans
            if config.timeframe == timeframe
        ]

    def _work(self, config: ScanConfig, scan: BaseScan[Any], panel: Panel, at_us: int) -> Callable[[], ScanResult]:
        today = self._date
        assert today is not None  # a bar came

        def work() -> ScanResult:
            days = self._days.get(panel.symbols)
            if days is None:
                days = self._days[panel.symbols] = self._days_of(panel.symbols, today)
            whole = Panel(
                panel.symbols, panel.timestamp_us, panel.open, panel.high, panel.low, panel.close, panel.volume, **days
            )
            picks = tuple(
                ScanPick(each.symbol, each.rank, each.score, each.confidence, each.features)
                for each in pick(scan, whole, self._picks_max)
            )
            return ScanResult(config.scan_id, at_us, picks, self._exchange, config.timeframe, config.watchlist)

        return work


def days_from(manager: DatabaseManager, exchange: str) -> DaysOf:
    """Give what history says of the days before; NaN for a symbol it does not know."""

    def read(symbols: Sequence[str], today: date) -> Days:
        with MarketDataQuery(manager) as query:
            table = query.get_candles_many(symbols, exchange, "1d", today - _YEAR, today, output="arrow")
        found = {name: np.full(len(symbols), np.nan) for name in ("previous_close", "year_high", "year_low")}
        place = {symbol: row for row, symbol in enumerate(symbols)}
        names, highs, lows, closes = (table[name].to_pylist() for name in ("symbol", "high", "low", "close"))
        for name, high, low, close in zip(names, highs, lows, closes, strict=True):  # in order of time
            row = place[name]
            found["previous_close"][row] = close
            found["year_high"][row] = np.fmax(found["year_high"][row], high)
            found["year_low"][row] = np.fmin(found["year_low"][row], low)
        return found

    return read
