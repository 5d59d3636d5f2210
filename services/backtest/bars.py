"""The candles a run asks for, read from closed days on a thread of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

from libs.core.clock import Clock, SystemClock
from libs.core.errors import Refused
from libs.dbaccess.candles import CandleColumns
from libs.settings import Settings
from services.backtest.wanted import Asking, Wanted

if TYPE_CHECKING:  # they bring DuckDB, which only who reads needs
    from libs.dbaccess import DatabaseManager, MarketDataQuery

#: An open day holds some 200 KiB; with 32 at once each costs a tenth more time, with 10 half as much again.
DAYS_AT_ONCE = 80
#: Of a sweep, which has its bars in memory for long, and is waited for.
DAYS_AT_ONCE_SWEEP = 160


class NoCandles(Refused, FileNotFoundError):
    """History has no candles of what was asked for; names the symbols."""


class Bars(NamedTuple):
    """What was found: columns of each symbol that has any, and the trading days that are not there."""

    columns: tuple[CandleColumns, ...]
    days_missing: tuple[date, ...]
    #: How long it took to read them.
    seconds: float


class BarsSource(Protocol):
    """Where a backtest has its bars from: read on a thread, or by another process."""

    request: Asking

    @property
    def db(self) -> DatabaseManager:
        """Give the stores they are read from."""

    def serves(self, request: Asking) -> bool:
        """Whether these are the bars of a request."""

    def bars(self) -> Bars:
        """Give what the request asks for, when it is there."""

    def before(self, symbol: str, count: int) -> tuple[CandleColumns, ...]:
        """Give so many candles of a symbol before the request's first day; nothing where there are none."""

    def close(self) -> None:
        """Stop reading, if it still goes on, and let go of every file."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class BarsReader:
    """Begins to read when it is made, so that its owner can do something else meanwhile; a context, or close it.

    What went wrong is raised by `bars`, in the thread that asks for them.
    """

    def __init__(self, db: DatabaseManager, request: Asking, *, days_at_once: int = DAYS_AT_ONCE) -> None:
        from libs.dbaccess import MarketDataQuery

        self.db = db
        self.request = request
        self._query = MarketDataQuery(db, closed_days_only=True, days_at_once=days_at_once)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="bars")
        self._threads.submit(self._query.warm)  # should it fail, it is tried again, and said
        self._read = self._threads.submit(_read, self._query, request, db.clock)

    def serves(self, request: Asking) -> bool:
        """Whether these are the bars of a request."""
        return Wanted.by(self.request) == Wanted.by(request)

    def bars(self) -> Bars:
        """Give what the request asks for, when it is there."""
        return self._read.result()

    def before(self, symbol: str, count: int) -> tuple[CandleColumns, ...]:
        """Give so many candles of a symbol before the request's first day; nothing where there are none."""
        request = self.request
        return self._query.last_candle_columns(symbol, request.exchange, request.timeframe, count, before=request.start)

    def close(self) -> None:
        """Stop reading, if it still goes on, and let go of every file."""
        self._query.stop()
        self._threads.shutdown()
        self._query.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def begin_to_read(
    settings: Settings, data_root: str, request: Asking, *, days_at_once: int = DAYS_AT_ONCE
) -> BarsReader:  # fmt: skip
    """Begin to read from a data root, before anything else of a backtest is there; to be closed by who asked."""
    return BarsReader(stores_of(settings, data_root), request, days_at_once=days_at_once)


def stores_of(settings: Settings, data_root: str) -> DatabaseManager:
    """Give a data root's stores, as a backtest may use them."""
    from libs.dbaccess import DatabaseManager, Role

    return DatabaseManager(data_root, Role.BACKTEST, settings=settings, clock=SystemClock())


def _read(query: MarketDataQuery, request: Asking, clock: Clock) -> Bars:
    missing: list[date] = []
    began_ns = clock.monotonic_ns()
    found = query.candle_columns(
        request.symbols_all, request.exchange, request.timeframe, request.start, request.end + timedelta(days=1),
        on_missing=lambda coverage: missing.extend(coverage.missing),
    )  # fmt: skip
    return Bars(found, tuple(missing), (clock.monotonic_ns() - began_ns) / 1e9)
