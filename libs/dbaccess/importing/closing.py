"""Closing one staged date: its rows, its longer bars, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import duckdb
import polars as pl
import pyarrow as pa

from libs.bars.vectorised import resample
from libs.calendar import Calendar
from libs.contracts.sessions import Session
from libs.core.clock import day_start_us, trading_date
from libs.core.faults import crash_point
from libs.dbaccess.connections import attach_day, duckdb_memory, parquet_source
from libs.dbaccess.coverage import certify_day
from libs.dbaccess.errors import StoreCorrupt
from libs.dbaccess.importing.plan import ImportRequest
from libs.dbaccess.importing.report import DayResult, ImportReport
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.queries.catalogue import archived_parts

#: What is derived from what: longer bars that are stored, of those an import brought.
DERIVED = {"1m": ("5m", "15m", "1d"), "5m": ("15m", "1d"), "15m": ("1d",)}
OUTSIDE = "outside trading hours"
_CLOSED_THEN = "the exchange was closed that day"
_COMPARED = {
    "candles": "symbol, epoch_us(timestamp) AS ts_us, open, high, low, close, volume",
    "ticks": "symbol, epoch_us(timestamp) AS ts_us, price, volume, bid, ask, volume_day",
}


class DayCloser:
    """Closes the dates of one import, one after the other."""

    def __init__(
        self,
        db: DatabaseManager,
        connection: duckdb.DuckDBPyConnection,
        request: ImportRequest,
        calendar: Calendar | None,
        open_days: frozenset[date],
        report: ImportReport,
        *,
        origin: str,
        verify: bool,
    ) -> None:
        self._db = db
        self._connection = connection
        self._request = request
        self._calendar = calendar
        self._open_days = open_days
        self._report = report
        self._origin = origin
        self._verify = verify

    def close(self, day: date, rows: int) -> DayResult:
        """Close one date and count its rows; a date that may not be closed is refused as a whole, with the reason."""
        session = self._calendar.session(day) if self._calendar else None
        if reason := self._hindrance(day, session):
            return self._refused(day, rows, reason)
        table = self._rows(day, session)
        inside = self._count_outside(day, session, rows)
        self._report.rows_repeated += inside - table.num_rows
        if not table.num_rows:
            return self._refused(day, 0, OUTSIDE)
        request = self._request
        found = self._stored(day, table)
        if found is False:
            self._report.rows_repeated -= inside - table.num_rows
            return self._refused(day, inside, "the day is closed and holds other rows")
        if found is None:
            with self._db.historical_writer(
                request.exchange, request.data_type, request.timeframe, day, origin=self._origin
            ) as writer:
                writer.append(table)
            crash_point("import.day.after")
            if self._verify and not self._stored(day, table):
                raise StoreCorrupt(f"{request.exchange} {request.data_type} {day}: reads back otherwise than written")
            self._report.rows_taken += table.num_rows
        else:
            self._report.rows_same += table.num_rows
        derived = self._derive(day, table, session)
        self._certify(day)
        state = "same" if found else "taken"
        return DayResult(day.isoformat(), state, table.num_rows, derived=derived)

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
            f"SELECT count(*) FROM rows WHERE day = {_number(day)} AND reason IS NULL AND NOT {condition}"
            " AND symbol IN (SELECT symbol FROM names WHERE clean IS NOT NULL)"
        ).fetchall()
        self._report.refuse(OUTSIDE, int(outside), [day.isoformat()])
        return rows - int(outside)

    def _rows(self, day: date, session: Session | None) -> pa.Table:
        """Give the rows of a date as they are stored."""
        wanted = (
            f"FROM rows JOIN names USING (symbol) WHERE day = {_number(day)} AND reason IS NULL"
            f" AND clean IS NOT NULL AND {self._inside(session)}"
        )
        if self._request.data_type == "candles":
            sql = (
                f"SELECT clean AS symbol, '{self._request.timeframe}' AS timeframe, make_timestamptz(ts_us) AS"
                f" timestamp, open, high, low, close, coalesce(volume, 0) AS volume, 'import' AS origin {wanted}"
                f"{self._once(wanted)}"
            )
        else:
            sql = _ticks_sql(wanted, keep_repeats=self._request.keep_repeats)
        return self._connection.execute(sql).to_arrow_table()

    def _once(self, wanted: str) -> str:
        """Of two candles of one minute the one that saw more trade is the whole one; asked only where there are two."""
        [(rows, different)] = self._connection.execute(
            f"SELECT count(*), count(DISTINCT hash(clean, ts_us)) {wanted}"
        ).fetchall()
        if rows == different:
            return ""
        return (
            " QUALIFY row_number() OVER (PARTITION BY clean, ts_us"
            " ORDER BY volume DESC NULLS LAST, high - low DESC, close DESC, open DESC) = 1"
        )

    def _stored(self, day: date, table: pa.Table) -> bool | None:
        """Say whether history or the archive holds a date with these rows; None when it holds none of it."""
        request = self._request
        path = self._db.layout.day(request.exchange, request.data_type, request.timeframe, day)
        parts = archived_parts(self._db.layout, request.exchange, request.data_type, request.timeframe, day)
        if not path.exists() and not parts:
            return None
        columns = _COMPARED[request.data_type]
        with duckdb_memory() as connection:
            if path.exists():
                attach_day(connection, path, "day")
                theirs = f"SELECT {columns} FROM day.{request.data_type}"
            else:
                theirs = f"SELECT {columns} FROM {parquet_source(parts)}"
            connection.register("imported", table)
            ours = f"SELECT {columns} FROM imported"
            differing = connection.execute(
                f"({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours}) LIMIT 1"
            ).fetchall()
        return not differing

    def _certify(self, day: date) -> None:
        """Count what the day holds now, also of one that is there already: the run before may have been killed here."""
        if self._request.timeframe in {None, "1m"}:
            crash_point("import.certify.before")
            with self._db.history_lock():
                certify_day(self._db, self._request.exchange, day)

    def _derive(self, day: date, table: pa.Table, session: Session | None) -> tuple[str, ...]:
        """Store the longer bars that are kept, unless the day has some of them already."""
        request = self._request
        longer = DERIVED.get(str(request.timeframe), ()) if request.data_type == "candles" and session else ()
        missing = [each for each in longer if not self._db.layout.day(request.exchange, "candles", each, day).exists()]
        if not missing:
            return ()
        bars = _as_bars(table)
        for timeframe in missing:
            # Each from the one before: 15m bars begin where 5m bars do, and a fifth of the rows is a fifth of the work.
            bars = resample(bars, timeframe, _only(session))
            with self._db.historical_writer(request.exchange, "candles", timeframe, day, origin=self._origin) as writer:
                writer.append(_as_candles(bars, timeframe))
        return tuple(missing)


def _number(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()


def _ticks_sql(wanted: str, *, keep_repeats: bool) -> str:
    """Number a date's ticks in order of time and file, and fill in whichever of the two volumes is missing."""
    columns = "price, volume, bid, ask, volume_day, open_interest, seq"
    once = "" if keep_repeats else f" QUALIFY row_number() OVER (PARTITION BY clean, ts_us, {columns}) = 1"
    return (
        f"WITH ticks AS (SELECT clean, ts_us, row_order, {columns} {wanted}{once}),"
        " filled AS (SELECT *, coalesce(volume, greatest(0, volume_day - lag(volume_day) OVER one), 0) AS traded"
        " FROM ticks WINDOW one AS (PARTITION BY clean ORDER BY ts_us, seq, row_order))"
        " SELECT clean AS symbol, make_timestamptz(ts_us) AS timestamp, price, traded AS volume, bid, ask,"
        " coalesce(volume_day, CAST(sum(traded) OVER (PARTITION BY clean ORDER BY ts_us, seq, row_order) AS BIGINT))"
        " AS volume_day, open_interest, row_number() OVER (ORDER BY ts_us, seq, row_order) AS seq FROM filled"
    )


def _only(session: Session | None) -> Callable[[date], Session | None]:
    return lambda _day: session


def _as_bars(table: pa.Table) -> pl.DataFrame:
    frame = pl.DataFrame(table)
    times = pl.col("timestamp").dt.timestamp("us").alias("timestamp_us")
    return frame.select("symbol", times, "open", "high", "low", "close", "volume")


def _as_candles(bars: pl.DataFrame, timeframe: str) -> pa.Table:
    moment = pl.from_epoch("timestamp_us", time_unit="us").dt.replace_time_zone("UTC").alias("timestamp")
    return bars.select(
        "symbol", pl.lit(timeframe).alias("timeframe"), moment, "open", "high", "low", "close", "volume",
        pl.lit("import").alias("origin"),
    ).to_arrow()  # fmt: skip


def day_of_number(number: int) -> date:
    """Give the date of a day's number since the epoch."""
    return trading_date(day_start_us(date(1970, 1, 1)) + number * 86_400_000_000)
