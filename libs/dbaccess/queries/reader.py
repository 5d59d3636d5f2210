"""One reader of market data: its catalogue, its calendars, its engine, and threads that take turns with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from libs.calendar import Calendar, CalendarError
from libs.contracts.market import TIMEFRAMES
from libs.core.clock import Clock, trading_date
from libs.core.errors import Refused
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.candles import CandleColumns
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import Layout
from libs.dbaccess.queries.attached import DayGone
from libs.dbaccess.queries.catalogue import Catalogue
from libs.dbaccess.queries.columns import fetch_columns
from libs.dbaccess.queries.coverage import Coverage, cover
from libs.dbaccess.queries.engine import Engine, Fetch, NotTogether, fetch_table
from libs.dbaccess.queries.live import live_part
from libs.dbaccess.queries.plan import DayPlan, make_plan
from libs.dbaccess.queries.request import Request
from libs.dbaccess.queries.selects import SelectWriter
from libs.settings import Settings

if TYPE_CHECKING:
    import pyarrow as pa

#: A day may be archived between its listing and its opening; after so many surprises something else is wrong.
_ATTEMPTS_MAX = 5
#: Minutes of the usual session, to guess how many days hold so many candles.
_SESSION_MINUTES = 375

Answer = TypeVar("Answer")
Part = TypeVar("Part")


class Stores(Protocol):
    """What a query needs of a DatabaseManager."""

    layout: Layout
    settings: Settings
    clock: Clock


class Reader:
    """Reads requests. Several threads may call it; one at a time is served."""

    def __init__(self, db: Stores, *, closed_days_only: bool = False, days_at_once: int | None = None) -> None:
        self._db = db
        self._settings = db.settings.query
        self._days_at_once = days_at_once
        if days_at_once is not None:
            held_max = min(days_at_once, self._settings.attached_days_max)
            self._settings = msgspec.structs.replace(self._settings, attached_days_max=held_max)
        self._closed_days_only = closed_days_only
        self._turn = threading.RLock()
        self._catalogue = Catalogue(db.layout, db.clock)
        self._calendars: dict[str, Calendar | None] = {}
        self._engine: Engine | None = None
        self._making = threading.Lock()
        self._closed = False

    def read(self, request: Request) -> tuple[pa.Table, list[DayPlan]]:
        """Give the rows, and how each of their dates was read."""
        return self._served(self._read, request)

    def newest(self, request: Request, count: int) -> pa.Table:
        """Give the last `count` rows, from as few of the newest days as hold them."""

        def newest(asked: Request) -> pa.Table:
            table = self._newest(asked, count, self._table, lambda table: table.num_rows)
            return table.slice(max(0, table.num_rows - count))

        return self._served(newest, request)

    def read_columns(self, request: Request) -> tuple[tuple[CandleColumns, ...], list[DayPlan]]:
        """Give candles as columns, and how each of their dates was read."""

        def read(asked: Request) -> tuple[tuple[CandleColumns, ...], list[DayPlan]]:
            with self._plans(asked) as plans:
                return self._columns(asked, plans), plans

        return self._served(read, request)

    def newest_columns(self, request: Request, count: int) -> tuple[CandleColumns, ...]:
        """Give the last `count` candles of a symbol as columns."""

        def newest(asked: Request) -> tuple[CandleColumns, ...]:
            found = self._newest(asked, count, self._columns, lambda columns: sum(len(each[1]) for each in columns))
            return tuple(_last(each, count) for each in found) if count else ()

        return self._served(newest, request)

    def coverage(self, request: Request) -> Coverage:
        """Say which days of a request there are, without reading them."""
        with self._turn, self._plans(request) as plans:
            return self.cover(request, plans)

    def cover(self, request: Request, plans: Sequence[DayPlan]) -> Coverage:
        """Compare the days found with the days there should be."""
        return cover(request, plans, trading_date(self._db.clock.now_us()), self._sessions)

    @property
    def days_attached(self) -> int:
        """How many day files the engine has open."""
        return len(self._engine.attached) if self._engine else 0

    def warm(self) -> None:
        """Open the engine, on another thread than the one that asks meanwhile what there is to read."""
        self._warm_engine()

    def stop(self) -> None:
        """Read nothing any more, and end what is being read, without waiting for its turn."""
        self._closed = True
        if engine := self._engine:
            engine.stop()

    def close(self) -> None:
        """Let go of every file, for good."""
        with self._turn:
            self._closed = True
            self._drop_engine()

    def _served(self, read: Callable[[Request], Answer], request: Request) -> Answer:
        """Read when it is this thread's turn, again when a day went to the archive under it."""
        with self._turn:
            for _ in range(_ATTEMPTS_MAX - 1):
                try:
                    return read(request)
                except DayGone:
                    self._catalogue.forget()
            return read(request)

    def _read(self, request: Request) -> tuple[pa.Table, list[DayPlan]]:
        with self._plans(request) as plans:
            return self._table(request, plans), plans

    def _table(self, request: Request, plans: Sequence[DayPlan]) -> pa.Table:
        from libs.dbaccess.queries.frames import in_order  # who takes columns needs no Arrow

        return in_order(self._run(request, plans, fetch_table), request.data_type)

    def _columns(self, request: Request, plans: Sequence[DayPlan]) -> tuple[CandleColumns, ...]:
        parts = self._run(request, plans, fetch_columns)
        from libs.dbaccess.queries.joining import by_symbol  # with numpy, which its owner imports meanwhile

        return by_symbol(parts, request.symbols)

    def _newest(
        self, request: Request, count: int, read: Callable[[Request, Sequence[DayPlan]], Answer],
        length: Callable[[Answer], int],
    ) -> Answer:  # fmt: skip
        """Read more and more of the newest days until they hold so many rows."""
        bars_a_day = max(1, _SESSION_MINUTES // TIMEFRAMES[str(request.timeframe)])
        days = -(-count // bars_a_day)
        while True:
            with self._plans(request, newest=days) as plans:
                found = read(request, plans)
            if length(found) >= count or len(plans) < days:
                return found
            days *= 4  # a symbol that trades seldom

    @contextmanager
    def _plans(self, request: Request, *, newest: int | None = None) -> Iterator[list[DayPlan]]:
        """Plan a request, with the snapshot it may read pinned for the block."""
        if self._closed:
            raise Refused("this MarketDataQuery was closed; make another")
        require_root(self._db.layout)
        if self._closed_days_only:
            yield make_plan(request, self._catalogue, None, newest=newest)
            return
        with live_part(self._db.layout, self._db.settings.live, request.first_day, request.last_day) as live:
            yield make_plan(request, self._catalogue, live, newest=newest)

    def _run(self, request: Request, plans: Sequence[DayPlan], fetch: Fetch[Part]) -> list[Part]:
        if not plans or not request.symbols:
            return []
        writer = SelectWriter(request, self._sessions)
        arms = [writer.arm(plan) for plan in plans]
        try:
            try:
                return self._warm_engine().run(arms, writer.parameters(), fetch)
            except NotTogether:
                self._drop_engine()
                return self._warm_engine().run(arms, writer.parameters(), fetch, one_by_one=True)
        except BaseException:
            self._drop_engine()  # damage may have spoiled it, and an interrupted one may have detached half
            raise

    def _warm_engine(self) -> Engine:
        with self._making:
            if self._engine is None:
                self._engine = Engine(self._settings, days_at_once=self._days_at_once)
                if self._closed:  # while it was being made
                    self._engine.stop()
            return self._engine

    def _drop_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _sessions(self, exchange: str) -> Calendar | None:
        """Give the exchange's calendar, or None when there is no data for it."""
        if exchange not in self._calendars:
            try:
                self._calendars[exchange] = load_calendar(self._db.layout.root, exchange)
            except CalendarError as e:
                if not isinstance(e.__cause__, FileNotFoundError):
                    raise
                self._calendars[exchange] = None
        return self._calendars[exchange]


def _last(columns: CandleColumns, count: int) -> CandleColumns:
    symbol, *rest = columns
    return CandleColumns(str(symbol), *(column[-count:] for column in rest))  # type: ignore[arg-type]  # all but its name
