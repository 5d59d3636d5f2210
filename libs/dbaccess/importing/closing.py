"""Closing one staged date: its rows, its longer bars, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import duckdb

from libs.calendar import Calendar
from libs.contracts.sessions import Session
from libs.core.clock import day_start_us, trading_date
from libs.core.faults import crash_point
from libs.dbaccess.connections import attach_day, parquet_source
from libs.dbaccess.coverage import Minutes, certify_day
from libs.dbaccess.figures import Figures, figures_of, require_same_figures
from libs.dbaccess.importing.dayrows import ROWS, every_row, fold, stored_select, take_candles, take_ticks
from libs.dbaccess.importing.plan import ImportRequest
from libs.dbaccess.importing.report import OUTSIDE, DayResult
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.queries.catalogue import archived_parts

#: What is derived from what: longer bars that are stored, of those an import brought.
DERIVED = {"1m": ("5m", "15m", "1d"), "5m": ("15m", "1d"), "15m": ("1d",)}
_CLOSED_THEN = "the exchange was closed that day"
#: What a file is held against the rows by; what is the same in every candle is no column of them.
_COLUMNS = {
    "candles": ("symbol", "timestamp", "open", "high", "low", "close", "volume"),
    "ticks": ("symbol", "timestamp", "price", "volume", "bid", "ask", "volume_day", "open_interest", "seq"),
}
#: What makes a closed day the same as an imported one: not where its rows came from, nor how they were numbered.
_COMPARED = {
    "candles": _COLUMNS["candles"],
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
        *,
        origin: str,
    ) -> None:
        self._db = db
        self._request = request
        self._calendar = calendar
        self._open_days = open_days
        self._origin = origin

    def close(self, connection: duckdb.DuckDBPyConnection, day: date, rows: int) -> DayResult:
        """Close one date of so many rows; a date that may not be closed is refused as a whole, with the reason."""
        session = self._calendar.session(day) if self._calendar else None
        if reason := self._hindrance(day, session):
            return DayResult(day.isoformat(), "refused", rows, reason)
        inside, kept = self._take(connection, day, session)
        outside = rows - inside
        if not inside:
            return DayResult(day.isoformat(), "refused", 0, OUTSIDE, outside=outside)
        closed = self._closed_figures(connection, day)
        if closed is None:
            self._write(connection, day)
        elif closed != self._figures(connection, _COMPARED):
            return DayResult(
                day.isoformat(), "refused", inside, "the day is closed and holds other rows", outside=outside
            )
        derived = self._derive(connection, day, session)
        self._certify(connection, day)
        return DayResult(
            day.isoformat(), "taken" if closed is None else "same", kept,
            derived=derived, outside=outside, repeated=inside - kept,
        )  # fmt: skip

    def _take(self, connection: duckdb.DuckDBPyConnection, day: date, session: Session | None) -> tuple[int, int]:
        """Make the table of the date's rows; give how many there are within hours, and how many without repeats."""
        if self._request.data_type == "ticks":  # of a trading day they may print at any time
            return take_ticks(connection, day, keep_repeats=self._request.keep_repeats)
        if session is None or self._request.timeframe == "1d":
            return take_candles(connection, day, "true")
        spans = " OR ".join(f"ts_us >= {start} AND ts_us < {end}" for start, end in session.trading_spans)
        return take_candles(connection, day, f"({spans})")

    def _write(self, connection: duckdb.DuckDBPyConnection, day: date) -> None:
        """Close the date with its rows, compared with them before the file gets its name."""
        request = self._request
        expected = self._figures(connection, _COLUMNS)
        what = f"{request.exchange} {request.data_type} {day} as staged"
        self._db.close_day(
            connection, request.exchange, request.data_type, request.timeframe, day,
            stored_select(ROWS, request.data_type), every_row=every_row(request.data_type, request.timeframe),
            origin=self._origin,
            verify=lambda found: require_same_figures(expected, found, what=what, source="the import"),
        )  # fmt: skip
        crash_point("import.day.after")

    def _figures(
        self, connection: duckdb.DuckDBPyConnection, columns: Mapping[str, Sequence[str]]
    ) -> dict[str, Figures]:
        table = self._request.data_type
        return figures_of(connection, stored_select(ROWS, table), table, columns[table])

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

    def _certify(self, connection: duckdb.DuckDBPyConnection, day: date) -> None:
        """Count what the day holds now, also of one that is there already: the run before may have been killed here."""
        timeframe = self._request.timeframe
        if timeframe in {None, "1m"}:
            crash_point("import.certify.before")
            minutes = (
                Minutes(connection, f"SELECT *, 'import' AS origin FROM ({stored_select(ROWS, 'candles')})")
                if timeframe
                else None
            )
            with self._db.history_lock():
                certify_day(self._db, self._request.exchange, day, minutes=minutes)

    def _derive(self, connection: duckdb.DuckDBPyConnection, day: date, session: Session | None) -> tuple[str, ...]:
        """Store the longer bars that are kept, unless the day has some of them already."""
        request, layout = self._request, self._db.layout
        if session is None or request.data_type == "ticks":
            return ()
        longer = DERIVED.get(str(request.timeframe), ())
        missing = [each for each in longer if not layout.day(request.exchange, "candles", each, day).exists()]
        shorter = ROWS
        for timeframe in missing:
            # Each from the one before: 15m bars begin where 5m bars do, and a fifth of the rows is a fifth of the work.
            shorter = fold(connection, shorter, timeframe, session)
            self._db.close_day(
                connection, request.exchange, "candles", timeframe, day,
                stored_select(shorter, "candles"), every_row=every_row("candles", timeframe), origin=self._origin,
            )  # fmt: skip
        return tuple(missing)


def day_of_number(number: int) -> date:
    """Give the date of a day's number since the epoch."""
    return trading_date(day_start_us(date(1970, 1, 1)) + number * 86_400_000_000)
