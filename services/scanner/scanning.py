"""Runs the scans on the newest minute, in a thread of its own: strategies never wait for them.

A scan looks at the market as it is. Minutes that passed while an earlier one was scanned, or while the day was caught
up with, are in the panel and are not scanned themselves; how many is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import cache
from typing import Any

from libs.contracts.analytics import ScanPick, ScanResult
from libs.contracts.market import TIMEFRAMES
from libs.core.clock import trading_date
from libs.scanners.interface import BaseScan, pick
from libs.scanners.panel import Panel
from services.scanner.days_before import DaysBefore, DaysOf
from services.scanner.minutes import Minute
from services.scanner.scan_configs import ScanConfig
from services.scanner.window import Window


class Scans:
    """The scans of one run. `add` and `due` belong to the loop; what `due` gives may be scanned in a thread."""

    def __init__(
        self, configs: Sequence[ScanConfig], exchange: str, days_of: DaysOf, *, picks_max: int, index: str = ""
    ) -> None:
        self._exchange = exchange
        self._days_of = days_of
        self._picks_max = picks_max
        self._index = index
        self._windows: dict[str, Window] = {}
        self._newest: dict[str, int] = {}
        self._date: date | None = None
        self._days: DaysBefore | None = None
        #: Timeframes' instants that were not scanned because a newer one was there.
        self.passed_over = 0
        self.configure(configs)

    def configure(self, configs: Sequence[ScanConfig]) -> None:
        """Scan these from the next bar on. The day's bars so far stay in sight, of every timeframe."""
        self._scans: list[tuple[ScanConfig, BaseScan[Any]]] = [(config, config.make()) for config in configs]
        self._timeframes = {config.timeframe for config in configs}

    def add(self, minute: Minute) -> None:
        """Take a whole minute's bars of every timeframe."""
        today = trading_date(minute.closed.timestamp_us)
        if today != self._date:
            self._date = today
            self._windows, self._newest, self._days = {}, {}, DaysBefore(self._days_of, today)
        by_timeframe: dict[str, list[Any]] = {}
        for bar in minute.bars:
            by_timeframe.setdefault(bar.timeframe, []).append(bar)
        for timeframe, bars in by_timeframe.items():
            at_us = bars[0].timestamp_us
            self._windows.setdefault(timeframe, Window()).add(at_us, bars)
            if timeframe in self._timeframes:
                self.passed_over += timeframe in self._newest
                self._newest[timeframe] = at_us

    def due(self) -> list[Callable[[], ScanResult]]:
        """Give what is to be scanned now; each may be called in another thread, one at a time."""
        newest, self._newest = self._newest, {}
        return [
            work
            for timeframe, at_us in sorted(newest.items(), key=lambda item: TIMEFRAMES[item[0]])
            for work in self._of(timeframe, at_us)
        ]

    def _of(self, timeframe: str, at_us: int) -> list[Callable[[], ScanResult]]:
        window = self._windows[timeframe]
        sights: dict[tuple[str, ...] | None, Callable[[], Panel]] = {}
        works = []
        for config, scan in self._scans:
            if config.timeframe == timeframe:
                if config.symbols not in sights:
                    sights[config.symbols] = self._sight(window, config.symbols)
                works.append(self._work(config, scan, sights[config.symbols], at_us))
        return works

    def _sight(self, window: Window, symbols: tuple[str, ...] | None) -> Callable[[], Panel]:
        """Lay the bars out now, and what the days before say when it is first looked at: that may read history."""
        panel, closes, days = window.panel(symbols), window.closes(self._index), self._days
        assert days is not None  # a bar came

        def whole() -> Panel:
            beside: dict[str, Any] = {"index": closes, **days.of(panel.symbols)}
            return replace(panel, **beside)

        return cache(whole)

    def _work(
        self, config: ScanConfig, scan: BaseScan[Any], sight: Callable[[], Panel], at_us: int
    ) -> Callable[[], ScanResult]:
        def work() -> ScanResult:
            picks = tuple(
                ScanPick(each.symbol, each.rank, each.score, each.confidence, each.features)
                for each in pick(scan, sight(), self._picks_max)
            )
            return ScanResult(config.scan_id, at_us, picks, self._exchange, config.timeframe, config.watchlist)

        return work
