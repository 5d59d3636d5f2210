"""`MarketDataQuery`: candles and ticks of closed days, archived days and today, as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from libs.core.errors import Refused
from libs.dbaccess.candles import CandleColumns
from libs.dbaccess.queries.bounds import Moment
from libs.dbaccess.queries.coverage import Coverage
from libs.dbaccess.queries.outputs import Output, check_output, delivered
from libs.dbaccess.queries.plan import DayPlan
from libs.dbaccess.queries.reader import Reader, Stores
from libs.dbaccess.queries.request import Request


class MarketDataQuery:
    """Reads market data over [start, end). Keeps days open between calls, so keep it and close it, or use `with`.

    Bounds are aware datetimes, naive ones (IST), dates (their midnight, IST), ISO text, integer microseconds, or None
    for an open side. Answers are sorted by symbol and time, without duplicates, with the same columns and types also
    when there is nothing; `output` is "pandas", "arrow" or "polars". Days that are not there are skipped:
    `on_missing` is called with the Coverage when there are some. A damaged day raises `StoreCorrupt` naming its file,
    never fewer rows. Safe to share between threads, which take turns.

    `closed_days_only` leaves the live buffer alone: nothing of it is read, and no pin is made there.
    `days_at_once` is for whoever reads everything once: so many days are open at a time, and none stays warm.
    """

    def __init__(self, db: Stores, *, closed_days_only: bool = False, days_at_once: int | None = None) -> None:
        self._reader = Reader(db, closed_days_only=closed_days_only, days_at_once=days_at_once)

    def get_candles(
        self,
        symbol: str | Sequence[str],
        exchange: str,
        timeframe: str,
        start: Moment | None,
        end: Moment | None,
        *,
        output: Output = "pandas",
        on_missing: Callable[[Coverage], object] | None = None,
    ) -> Any:
        """Give candles: symbol, timeframe, timestamp, open, high, low, close, volume.

        Bars that are not stored (1h and 4h always, unless imported) are made from minutes; of today, only bars that
        are over.
        """
        request = Request.candles(symbol, exchange, timeframe, start, end)
        return self._answer(request, output, on_missing)

    def get_candles_many(
        self,
        symbols: Sequence[str],
        exchange: str,
        timeframe: str,
        start: Moment | None,
        end: Moment | None,
        *,
        output: Output = "pandas",
        on_missing: Callable[[Coverage], object] | None = None,
    ) -> Any:
        """Give the candles of several symbols in one frame."""
        return self.get_candles(symbols, exchange, timeframe, start, end, output=output, on_missing=on_missing)

    def get_ticks(
        self,
        symbol: str | Sequence[str],
        exchange: str,
        start: Moment | None,
        end: Moment | None,
        *,
        output: Output = "pandas",
        on_missing: Callable[[Coverage], object] | None = None,
    ) -> Any:
        """Give ticks: symbol, timestamp, price, volume, bid, ask, volume_day, seq; in one instant by seq."""
        return self._answer(Request.ticks(symbol, exchange, start, end), output, on_missing)

    def last_candles(
        self,
        symbol: str,
        exchange: str,
        timeframe: str,
        count: int,
        *,
        before: Moment | None = None,
        output: Output = "pandas",
    ) -> Any:
        """Give the newest `count` candles (fewer when there are no more) that begin before a moment."""
        if count < 0:
            raise Refused(f"count {count}: expected 0 or more candles")
        check_output(output)
        request = Request.candles(symbol, exchange, timeframe, None, before)
        return delivered(self._reader.newest(request, count), output)

    def candle_columns(
        self,
        symbols: Sequence[str],
        exchange: str,
        timeframe: str,
        start: Moment | None,
        end: Moment | None,
        *,
        on_missing: Callable[[Coverage], object] | None = None,
    ) -> tuple[CandleColumns, ...]:
        """Give what `get_candles` does as numpy columns, one set a symbol that has any, by name."""
        request = Request.candles(symbols, exchange, timeframe, start, end)
        columns, plans = self._reader.read_columns(request)
        self._say_missing(request, plans, on_missing)
        return columns

    def last_candle_columns(
        self, symbol: str, exchange: str, timeframe: str, count: int, *, before: Moment | None = None
    ) -> tuple[CandleColumns, ...]:
        """Give what `last_candles` does as numpy columns; nothing where there are none."""
        if count < 0:
            raise Refused(f"count {count}: expected 0 or more candles")
        return self._reader.newest_columns(Request.candles(symbol, exchange, timeframe, None, before), count)

    def coverage(self, exchange: str, timeframe: str | None, start: Moment | None, end: Moment | None) -> Coverage:
        """Say which trading days of an interval are there, without reading them; no timeframe means ticks."""
        if timeframe is None:
            return self._reader.coverage(Request.ticks((), exchange, start, end))
        return self._reader.coverage(Request.candles((), exchange, timeframe, start, end))

    @property
    def days_attached(self) -> int:
        """How many closed days are open and warm."""
        return self._reader.days_attached

    def warm(self) -> None:
        """Open what reads, which takes a while; a question that is asked meanwhile is planned beside it."""
        self._reader.warm()

    def stop(self) -> None:
        """End, from another thread, whatever is being read; its reader gets an error. Only `close` is left to do."""
        self._reader.stop()

    def close(self) -> None:
        """Let go of every file. The query is of no use afterwards."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, request: Request, output: Output, on_missing: Callable[[Coverage], object] | None) -> Any:
        check_output(output)
        table, plans = self._reader.read(request)
        self._say_missing(request, plans, on_missing)
        return delivered(table, output)

    def _say_missing(
        self, request: Request, plans: Sequence[DayPlan], on_missing: Callable[[Coverage], object] | None
    ) -> None:
        if on_missing is not None:
            coverage = self._reader.cover(request, plans)
            if coverage.missing:
                on_missing(coverage)
