"""Closing one staged date: its rows, its longer bars, whole or not at all."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

from libs.calendar import Calendar
from libs.contracts.market import TIMEFRAMES
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_MINUTE, day_start_us, trading_date
from libs.core.faults import crash_point
from libs.dbaccess.connections import attach_day, parquet_source
from libs.dbaccess.coverage import certify_day
from libs.dbaccess.errors import RepeatedCandle
from libs.dbaccess.figures import figures_of, require_same_figures
from libs.dbaccess.history import Verify
from libs.dbaccess.importing.plan import ImportRequest
from libs.dbaccess.importing.report import DayResult, ImportReport
from libs.dbaccess.importing.staging import SCRATCH
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.queries.catalogue import archived_parts

#: What is derived from what: longer bars that are stored, of those an import brought.
DERIVED = {"1m": ("5m", "15m", "1d"), "5m": ("15m", "1d"), "15m": ("1d",)}
#: Of two candles of one minute the one that saw more trade is the whole one.
_ONCE = (
    " QUALIFY row_number() OVER (PARTITION BY clean, ts_us"
    " ORDER BY volume DESC NULLS LAST, high - low DESC, high DESC, close DESC, open DESC) = 1"
)
OUTSIDE = "outside trading hours"
_CLOSED_THEN = "the exchange was closed that day"
_COLUMNS = {
    "candles": ("symbol", "timeframe", "timestamp", "open", "high", "low", "close", "volume", "origin"),
    "ticks": ("symbol", "timestamp", "price", "volume", "bid", "ask", "volume_day", "open_interest", "seq"),
}
#: What makes a closed day the same as an imported one: not where its rows came from, nor how they were numbered.
_COMPARED = {
    "candles": ("symbol", "timestamp", "open", "high", "low", "close", "volume"),
    "ticks": ("symbol", "timestamp", "price", "volume", "bid", "ask", "volume_day"),
}


class DayCloser:
    """Closes the dates of one import, one after the other."""

    def __init__(
        self,
        db: DatabaseManager,
        connection: duckdb.DuckDBPyConnection,
        scratch: Path,
        request: ImportRequest,
        calendar: Calendar | None,
        open_days: frozenset[date],
        report: ImportReport,
        *,
        origin: str,
    ) -> None:
        self._db = db
        self._connection = connection
        self._scratch = scratch
        self._request = request
        self._calendar = calendar
        self._open_days = open_days
        self._report = report
        self._origin = origin

    def close(self, day: date, rows: int) -> DayResult:
        """Close one date and count its rows; a date that may not be closed is refused as a whole, with the reason."""
        session = self._calendar.session(day) if self._calendar else None
        if reason := self._hindrance(day, session):
            return self._refused(day, rows, reason)
        inside = self._count_outside(day, session, rows)
        if not inside:
            return self._refused(day, 0, OUTSIDE)
        report = self._report
        taken = self._same_rows(day, session)
        if taken == 0:
            return self._refused(day, inside, "the day is closed and holds other rows")
        state = "same" if taken else "taken"
        if taken:
            report.rows_same += taken
        else:
            taken = self._write(day, session)
            report.rows_taken += taken
        report.rows_repeated += inside - taken
        derived = self._derive(day, session)
        self._certify(day)
        return DayResult(day.isoformat(), state, taken, derived=derived)

    def _write(self, day: date, session: Session | None) -> int:
        """Close the date with its rows; give how many."""
        try:
            taken = self._copy(day, self._rows(day, session, repeats=True))
        except RepeatedCandle:  # seldom, and to ask every file for it costs more than to begin again
            taken = self._copy(day, self._rows(day, session))
        crash_point("import.day.after")
        return taken

    def _copy(self, day: date, select: str) -> int:
        """Fill a day's file from the scratch database, compared with it before it is closed."""
        request = self._request
        table = request.data_type
        expected = figures_of(self._connection, select, table, _COLUMNS[table])
        what = f"{request.exchange} {table} {day} as staged"
        self._fill(
            request.timeframe, day, self._scratch, SCRATCH, select,
            lambda found: require_same_figures(expected, found, what=what, source="the import"),
        )  # fmt: skip
        return sum(each.rows for each in expected.values())

    def _fill(
        self, timeframe: str | None, day: date, path: Path, name: str, select: str, verify: Verify | None = None
    ) -> None:
        request = self._request
        with self._db.historical_writer(
            request.exchange, request.data_type, timeframe, day, origin=self._origin, verify=verify,
            memory_max_mib=self._db.settings.importing.memory_max_mib,
        ) as writer:  # fmt: skip
            writer.copy_from(path, name, select)

    def _refused(self, day: date, rows: int, reason: str) -> DayResult:
        self._report.refuse(reason, rows, [day.isoformat()])
        return DayResult(day.isoformat(), "refused", rows, reason)

    def _hindrance(self, day: date, session: Session | None) -> str:
        if day in self._open_days:
            return "the day is in the live buffer; `fleet rollover` closes it"
        if self._calendar and session is None:
            return _CLOSED_THEN
        now = self._db.clock.now_us()
        if day > trading_date(now) or (session and session.last_us > now):
            return "the day is not over yet"
        return ""

    def _inside(self, session: Session | None) -> str:
        """Spell which times of a candle lie in the session; a tick of a trading day may print at any time."""
        if session is None or self._request.data_type == "ticks" or self._request.timeframe == "1d":
            return "true"
        return f"({' OR '.join(f'ts_us >= {a} AND ts_us < {b}' for a, b in session.trading_spans)})"

    def _count_outside(self, day: date, session: Session | None, rows: int) -> int:
        condition = self._inside(session)
        if condition == "true":
            return rows
        [(outside,)] = self._connection.execute(
            f"SELECT count(*) FROM {SCRATCH}.rows WHERE day = {_number(day)} AND reason IS NULL AND NOT {condition}"
            f" AND symbol IN (SELECT symbol FROM {SCRATCH}.names WHERE clean IS NOT NULL)"
        ).fetchall()
        self._report.refuse(OUTSIDE, int(outside), [day.isoformat()])
        return rows - int(outside)

    def _rows(self, day: date, session: Session | None, *, repeats: bool = False) -> str:
        """Spell the SELECT of a date's rows as they are stored; with `repeats`, two candles of one minute are two."""
        wanted = (
            f"FROM (SELECT rowid AS row_order, * FROM {SCRATCH}.rows) JOIN {SCRATCH}.names USING (symbol)"
            f" WHERE day = {_number(day)} AND reason IS NULL AND clean IS NOT NULL AND {self._inside(session)}"
        )
        if self._request.data_type == "ticks":
            return _ticks_sql(wanted, keep_repeats=self._request.keep_repeats)
        return (
            f"SELECT clean AS symbol, '{self._request.timeframe}' AS timeframe, make_timestamptz(ts_us) AS"
            f" timestamp, open, high, low, close, coalesce(volume, 0) AS volume, 'import' AS origin {wanted}"
            f"{'' if repeats else _ONCE}"
        )

    def _same_rows(self, day: date, session: Session | None) -> int | None:
        """Count the rows of a date that history or the archive holds; 0 when it holds others, None when it has none."""
        request, table = self._request, self._request.data_type
        path = self._db.layout.day(request.exchange, table, request.timeframe, day)
        parts = archived_parts(self._db.layout, request.exchange, table, request.timeframe, day)
        if not path.exists() and not parts:
            return None
        connection = self._connection
        ours = figures_of(connection, self._rows(day, session), table, _COMPARED[table])
        if path.exists():
            attach_day(connection, path, "closed")
        try:
            theirs = f"SELECT * FROM {f'closed.{table}' if path.exists() else parquet_source(parts)}"
            same = ours == figures_of(connection, theirs, table, _COMPARED[table])
        finally:
            if path.exists():
                connection.execute("DETACH closed")
        return sum(each.rows for each in ours.values()) if same else 0

    def _certify(self, day: date) -> None:
        """Count what the day holds now, also of one that is there already: the run before may have been killed here."""
        if self._request.timeframe in {None, "1m"}:
            crash_point("import.certify.before")
            with self._db.history_lock():
                certify_day(self._db, self._request.exchange, day)

    def _derive(self, day: date, session: Session | None) -> tuple[str, ...]:
        """Store the longer bars that are kept, unless the day has some of them already."""
        request, layout = self._request, self._db.layout
        if session is None or request.data_type == "ticks":
            return ()
        longer = DERIVED.get(str(request.timeframe), ())
        missing = [each for each in longer if not layout.day(request.exchange, "candles", each, day).exists()]
        source = self._scratch, SCRATCH, f"({self._rows(day, session)})"
        shorter = layout.day(request.exchange, "candles", request.timeframe, day)
        for timeframe in missing:
            if shorter.exists():  # not archived since
                source = shorter, "shorter", "shorter.candles"
            path, name, rows = source
            self._fill(timeframe, day, path, name, _longer_sql(rows, timeframe, session))
            # Each from the one before: 15m bars begin where 5m bars do, and a fifth of the rows is a fifth of the work.
            shorter = layout.day(request.exchange, "candles", timeframe, day)
        return tuple(missing)


def _number(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _longer_sql(rows: str, timeframe: str, session: Session) -> str:
    """Fold bars into longer ones, which start where `Session.bar_start` says."""
    if timeframe == "1d":
        start = f"{day_start_us(session.date)}"
    else:
        length = TIMEFRAMES[timeframe] * US_PER_MINUTE
        start = f"ts_us - ((ts_us - {session.open_us}) % {length} + {length}) % {length}"
    return (
        f"SELECT symbol, '{timeframe}' AS timeframe, make_timestamptz(start_us) AS timestamp, open, high, low, close,"
        " volume, 'import' AS origin FROM (SELECT symbol, start_us, arg_min(open, ts_us) AS open, max(high) AS high,"
        " min(low) AS low, arg_max(close, ts_us) AS close, sum(volume)::BIGINT AS volume"
        f" FROM (SELECT *, {start} AS start_us FROM (SELECT *, epoch_us(timestamp) AS ts_us FROM {rows}))"
        " GROUP BY symbol, start_us)"
    )


def _ticks_sql(wanted: str, *, keep_repeats: bool) -> str:
    """Number a date's ticks in order of time and file, and fill in whichever of the two volumes is missing."""
    columns = "price, volume, bid, ask, volume_day, open_interest, seq"
    once = (
        ""
        if keep_repeats
        else f" QUALIFY row_number() OVER (PARTITION BY clean, ts_us, {columns} ORDER BY row_order) = 1"
    )
    return (
        f"WITH ticks AS (SELECT clean, ts_us, row_order, {columns} {wanted}{once}),"
        " filled AS (SELECT *, coalesce(volume, greatest(0, volume_day - lag(volume_day) OVER one), 0) AS traded"
        " FROM ticks WINDOW one AS (PARTITION BY clean ORDER BY ts_us, seq, row_order))"
        " SELECT clean AS symbol, make_timestamptz(ts_us) AS timestamp, price, traded AS volume, bid, ask,"
        " coalesce(volume_day, CAST(sum(traded) OVER (PARTITION BY clean ORDER BY ts_us, seq, row_order) AS BIGINT))"
        " AS volume_day, open_interest, row_number() OVER (ORDER BY ts_us, seq, row_order) AS seq FROM filled"
    )


def day_of_number(number: int) -> date:
    """Give the date of a day's number since the epoch."""
    return trading_date(day_start_us(date(1970, 1, 1)) + number * 86_400_000_000)
