"""Closing one staged date: its rows, its longer bars, whole or not at all."""

from __future__ import annotations

from datetime import date

import duckdb

from libs.calendar import Calendar
from libs.contracts.sessions import Session
from libs.core.clock import trading_date
from libs.core.faults import crash_point
from libs.dbaccess.connections import attach_day, parquet_source
from libs.dbaccess.coverage import certify_day
from libs.dbaccess.figures import Figures, figures_of, require_same_rows
from libs.dbaccess.importing.candles import rows_at_once
from libs.dbaccess.importing.dayrows import every_row
from libs.dbaccess.importing.parts import CandleDay, LongerDay, Symbols, TickDay
from libs.dbaccess.importing.plan import ImportRequest
from libs.dbaccess.importing.report import OUTSIDE, DayResult
from libs.dbaccess.importing.rows import STORED
from libs.dbaccess.importing.scratch import Staged
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.queries.catalogue import archived_parts

#: What is derived from what: longer bars that are stored, of those an import brought.
DERIVED = {"1m": ("5m", "15m", "1d"), "5m": ("15m", "1d"), "15m": ("1d",)}
_CLOSED_THEN = "the exchange was closed that day"
#: What makes a closed day the same as an imported one: not where its rows came from, nor how they were numbered.
_COMPARED = {
    "candles": STORED["candles"],
    "ticks": ("symbol", "timestamp", "price", "volume", "bid", "ask", "volume_day"),
}


class DayCloser:
    """Closes the dates of one import, each on a connection that has the scratch database; several at the same time."""

    def __init__(
        self,
        db: DatabaseManager,
        request: ImportRequest,
        calendar: Calendar | None,
        open_days: frozenset[date],
        staged: Staged,
        *,
        origin: str,
    ) -> None:
        self._db = db
        self._request = request
        self._calendar = calendar
        self._open_days = open_days
        self._staged = staged
        self._symbols = Symbols.of(staged.symbols)
        self._origin = origin

    def close(self, connection: duckdb.DuckDBPyConnection, day: date, rows: int) -> DayResult:
        """Close one date of so many rows; a date that may not be closed is refused as a whole, with the reason."""
        session = self._calendar.session(day) if self._calendar else None
        if reason := self._hindrance(day, session):
            return DayResult(day.isoformat(), "refused", rows, reason)
        taken = self._taken(connection, day, rows, session)
        same = self._is_same(connection, taken)
        if same is None:
            self._write(connection, taken)
        outside = rows - taken.found
        if not taken.found:
            return DayResult(day.isoformat(), "refused", 0, OUTSIDE, outside=outside)
        if same is False:
            return DayResult(
                day.isoformat(), "refused", taken.found, "the day is closed and holds other rows", outside=outside
            )
        derived = self._derive(connection, taken)
        self._certify(taken)
        return DayResult(
            day.isoformat(), "same" if same else "taken", taken.kept,
            derived=derived, outside=outside, repeated=taken.found - taken.kept,
        )  # fmt: skip

    def _taken(
        self, connection: duckdb.DuckDBPyConnection, day: date, rows: int, session: Session | None
    ) -> CandleDay | TickDay:
        request, layout = self._request, self._db.layout
        if request.data_type == "ticks":  # of a trading day they may print at any time
            return TickDay(connection, self._staged, day, keep_repeats=request.keep_repeats)
        timeframe = str(request.timeframe)
        longer = DERIVED.get(timeframe, ()) if session else ()
        missing = [each for each in longer if not layout.day(request.exchange, "candles", each, day).exists()]
        rows_max = rows_at_once(self._db.settings.importing)
        return CandleDay(
            connection, self._staged, day, rows, session, timeframe, self._symbols, missing, rows_max=rows_max
        )

    def _write(self, connection: duckdb.DuckDBPyConnection, taken: CandleDay | TickDay) -> None:
        """Close the date with its rows."""
        self._close(connection, self._request.timeframe, taken.day, taken)
        if taken.found:
            crash_point("import.day.after")

    def _close(
        self, connection: duckdb.DuckDBPyConnection, timeframe: str | None, day: date,
        rows: CandleDay | TickDay | LongerDay,
    ) -> None:  # fmt: skip
        """Write a day's file and hold it against its rows, one by one, before it gets its name."""
        request, table = self._request, self._request.data_type

        def prove(written: str) -> dict[str, Figures]:
            what = f"{request.exchange} {table} {timeframe or ''} {day} as staged"
            require_same_rows(connection, written, rows.again(), STORED[table], what=" ".join(what.split()))
            return rows.figures()

        self._db.close_day(
            connection, request.exchange, table, timeframe, day, rows.parts(), prove=prove,
            every_row=every_row(table, timeframe), origin=self._origin,
        )  # fmt: skip

    def _is_same(self, connection: duckdb.DuckDBPyConnection, taken: CandleDay | TickDay) -> bool | None:
        """Whether the date, if it is closed, holds the rows that were taken; None when it is not."""
        closed = self._closed_figures(connection, taken.day)
        if closed is None:
            return None
        table, figures = self._request.data_type, dict[str, Figures]()
        for select in taken.parts():
            figures |= figures_of(connection, select, table, _COMPARED[table])
        return closed == figures

    def _hindrance(self, day: date, session: Session | None) -> str:
        if day in self._open_days:
            return "the day is in the live buffer; `fleet rollover` closes it"
        if self._calendar and session is None:
            return _CLOSED_THEN
        now = self._db.clock.now_us()
        if day > trading_date(now) or (session and session.last_us > now):
            return "the day is not over yet"
        return ""

    def _closed_figures(self, connection: duckdb.DuckDBPyConnection, day: date) -> dict[str, Figures] | None:
        """Give the figures of a date that history or the archive holds already."""
        request, table = self._request, self._request.data_type
        path = self._db.layout.day(request.exchange, table, request.timeframe, day)
        if not path.exists():
            parts = archived_parts(self._db.layout, request.exchange, table, request.timeframe, day)
            theirs = f"SELECT * FROM {parquet_source(parts)}"
            return figures_of(connection, theirs, table, _COMPARED[table]) if parts else None
        name = f"closed_{day:%Y%m%d}"
        attach_day(connection, path, name)
        try:
            return figures_of(connection, f"SELECT * FROM {name}.{table}", table, _COMPARED[table])
        finally:
            connection.execute(f"DETACH {name}")

    def _derive(self, connection: duckdb.DuckDBPyConnection, taken: CandleDay | TickDay) -> tuple[str, ...]:
        """Store the longer bars that are kept and that the day has not already; name them."""
        derived = []
        for timeframe, bars in taken.longer():
            self._close(connection, timeframe, taken.day, bars)
            derived.append(timeframe)
        return tuple(derived)

    def _certify(self, taken: CandleDay | TickDay) -> None:
        """Count what the day holds now, also of one that is there already: the run before may have been killed here."""
        if self._request.timeframe in {None, "1m"}:
            crash_point("import.certify.before")
            with self._db.history_lock():
                certify_day(
                    self._db, self._request.exchange, taken.day, minutes=taken.minutes, traded=taken.traded
                )  # fmt: skip
