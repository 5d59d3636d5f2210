"""The day of every symbol so far: what it opened at, its range and volume, and what it closed at before."""

from __future__ import annotations

from datetime import date, timedelta
from threading import Lock
from typing import Any

import pyarrow as pa

from libs.core.clock import Clock, day_start_us, trading_date
from libs.core.errors import FleetError
from libs.dbaccess import MarketDataQuery

#: A page that asks again this soon gets the same: two hundred pages ask no more often than one.
_FRESH_NS = 3_000_000_000
#: So far back the close before today is looked for: over any holidays.
_BACK_DAYS = 10


class DayFigures:
    """Reads what the day's minutes come to. Any thread may ask: one reads, the others are given what was read last."""

    def __init__(self, market: MarketDataQuery, clock: Clock, exchange: str) -> None:
        self._market = market
        self._clock = clock
        self._exchange = exchange
        self._lock = Lock()
        self._read_ns = -_FRESH_NS
        self._figures: dict[str, dict[str, Any]] = {}
        self._closed: tuple[date | None, dict[str, float | None]] = None, {}

    def of(self, symbols: list[str], market_us: int) -> dict[str, dict[str, Any]]:
        """Give the figures of the market's day; a symbol of which nothing is stored is left out."""
        # Who waited here would keep a thread from whoever asks for candles; only the first time there is nothing else.
        if not self._lock.acquire(blocking=not self._figures):
            return self._figures
        try:
            if symbols and self._clock.monotonic_ns() - self._read_ns >= _FRESH_NS:
                self._figures = self._read(sorted(symbols), trading_date(market_us))
                self._read_ns = self._clock.monotonic_ns()
            return self._figures
        finally:
            self._lock.release()

    def _read(self, symbols: list[str], day: date) -> dict[str, dict[str, Any]]:
        start_us = day_start_us(day)
        try:
            table = self._market.get_candles(symbols, self._exchange, "1m", start_us, None, output="arrow")
            before = self._closes(symbols, day)
        except FleetError:  # a quote without its day is a quote still
            return {}
        return {row["symbol"]: {**row, "close_before": before.get(row["symbol"])} for row in _days(table).to_pylist()}

    def _closes(self, symbols: list[str], day: date) -> dict[str, float | None]:
        """The close before a day is read once a day, and again for symbols that were not asked for then."""
        known_day, known = self._closed
        if known_day != day or not known.keys() >= set(symbols):
            first_us, end_us = day_start_us(day - timedelta(days=_BACK_DAYS)), day_start_us(day)
            table = self._market.get_candles(symbols, self._exchange, "1d", first_us, end_us, output="arrow")
            rows = zip(table.column("symbol").to_pylist(), table.column("close").to_pylist(), strict=True)
            found: dict[str, float | None] = dict.fromkeys(symbols)
            self._closed = day, found | dict(rows)  # sorted by time: the last one stays
        return self._closed[1]


def _days(table: pa.Table) -> pa.Table:
    """One row a symbol; minutes come sorted by symbol and time."""
    found = table.group_by("symbol", use_threads=False).aggregate(
        [("open", "first"), ("high", "max"), ("low", "min"), ("volume", "sum")]
    )
    names = {"open_first": "open_day", "high_max": "high_day", "low_min": "low_day", "volume_sum": "volume_day"}
    return found.rename_columns([names.get(name, name) for name in found.column_names])
