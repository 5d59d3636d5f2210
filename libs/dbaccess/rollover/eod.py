"""`EODRollover`: freeze, stage, verify, close, list, and only then drop the day from the live buffer.

A rollover keeps no plan of its own: each run reads off the files what is left to do, so that after a kill anywhere the
next run, or an ingestor that knows nothing of it, finds every row in the live buffer, in history, or in both alike.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from libs.calendar import CalendarError
from libs.core.clock import US_PER_DAY, Clock, day_start_us, to_datetime
from libs.core.errors import Refused
from libs.core.faults import crash_point
from libs.dbaccess import catalogue, live, schema
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.connections import attach_day, naming_disk
from libs.dbaccess.coverage import certify_day
from libs.dbaccess.dayfile import refuse_odd_candles
from libs.dbaccess.errors import ImmutableDay
from libs.dbaccess.figures import Figures, figures_of, require_same_figures
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import exchange_name
from libs.dbaccess.live.paths import TABLES, LivePaths
from libs.dbaccess.manager import DatabaseManager
from libs.dbaccess.roles import Store, require_owner
from libs.dbaccess.rollover.compare import SOURCE, difference
from libs.dbaccess.rollover.fresh import swap_in, write_fresh
from libs.dbaccess.rollover.frozen import FrozenBuffer, Series, frozen_buffer
from libs.dbaccess.rollover.steps import record_step

#: Series that are written at the same time.
_AT_ONCE = 2


class Rolled(NamedTuple):
    """One file of history, and whether this run closed it or found it closed with the same rows."""

    date: date
    data_type: str
    timeframe: str | None
    rows: int
    done: Literal["closed", "same"]


class RolloverReport(msgspec.Struct, frozen=True):
    """What a run did. `in_history` says whether the day asked for has a closed file now."""

    date: date
    exchange: str
    in_history: bool
    series: tuple[Rolled, ...] = ()
    rows_kept: int = 0


class EODRollover:
    """Move days that are over from the live buffer into history. Runs under the locks of both, as the ingestor.

    While the ingestor lives, it alone can: it leaves its `live_buffer_writer` block, calls `execute` with the manager
    whose lock it keeps (its journal goes on capturing), and opens the buffer again.
    """

    def __init__(
        self, db: DatabaseManager, data_root: Path | str | None = None, *, clock: Clock | None = None,
        symbols: Collection[str] = (),
    ) -> None:  # fmt: skip
        if data_root is not None and Path(data_root).resolve() != db.layout.root.resolve():
            raise Refused(f"data root {data_root}: the manager's is {db.layout.root}; give the same")
        self._db = db
        self._clock = clock or db.clock
        #: What should have been captured: a symbol of which nothing came has a certificate that says so.
        self._symbols = symbols
        self._paths = LivePaths(db.layout)

    def execute(self, date: date, exchange: str = "nse") -> bool:
        """Roll a day over, and forgotten earlier ones first; True when the day is in history then.

        False when there was nothing of it anywhere. Raise Refused while its session lasts, `ImmutableDay` when history
        holds other rows of it, `WriterLockHeld` while another process owns the buffer; the buffer is as it was then.
        """
        return self.roll(date, exchange).in_history

    def roll(self, day: date, exchange: str = "nse") -> RolloverReport:
        """Do what `execute` does, and tell of each file."""
        db, exchange = self._db, exchange_name(exchange)
        require_owner(db.role, Store.HISTORY)
        require_root(db.layout)
        self._refuse_unfinished(day, exchange)
        series: list[Rolled] = []
        kept = 0
        with naming_disk(db.layout.root), db.hold(Store.LIVE), db.history_lock():
            if exchange == exchange_name(db.settings.data.exchange) and any(p.exists() for p in db.layout.live_files()):
                series, kept = self._move(day, exchange)
        return RolloverReport(day, exchange, self._is_in_history(exchange, day), tuple(series), kept)

    def _move(self, day: date, exchange: str) -> tuple[list[Rolled], int]:
        crash_point("rollover.freeze.before")
        self._settle()
        crash_point("rollover.freeze.after")
        with frozen_buffer(self._paths) as frozen:
            found = frozen.series(day)
            if not found:
                return [], 0
            for each in found:
                frozen.prove_unique(each)
            # All are looked at before one is closed: a day that is refused is refused whole.
            standing = [each for each in found if self._stands(frozen, exchange, each)]
            days = sorted({each.day for each in found})
            for each_day in days:
                record_step(self._db, exchange, each_day, "begun")
            done = self._close_all(frozen, exchange, found, standing)
            for each_day in days:
                crash_point("rollover.certify.before")
                certify_day(self._db, exchange, each_day, self._symbols, traded=frozen.traded(each_day))
            tables = [table for table in TABLES if any(each.data_type == table for each in found)]
            ddl = schema.live_ddl()
            kept = sum(write_fresh(self._paths, frozen, table, ddl[table], day) for table in tables)
        swap_in(self._paths, tables)
        self._settle()
        for each_day in days:
            record_step(self._db, exchange, each_day, "dropped", rows_kept=kept)
        return done, kept

    def _settle(self) -> None:
        """Open the buffer as its writer does, which makes the snapshot hold exactly its rows, and close it.

        Before: the swap relies on a manifest that knows of all rows. After: the manifest without the day is published;
        until then readers find the day in the old one, and read it from history.
        """
        db = self._db
        exchange, ddl = db.settings.data.exchange, schema.live_ddl()
        with live.open_live_buffer(db.layout, db.settings.live, db.clock, exchange=exchange, ddl=ddl):
            pass

    def _close_all(
        self, frozen: FrozenBuffer, exchange: str, found: Sequence[Series], standing: Collection[Series]
    ) -> list[Rolled]:
        """Write each series into history, two at the same time, and record them in their order.

        Sorting and writing keep two cores busy; hashing a file's bytes and listing a day do not.
        """
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="rollover") as pool:
            writing = [None if each in standing else pool.submit(self._write, frozen, exchange, each) for each in found]
            try:
                return [self._recorded(exchange, each, wait) for each, wait in zip(found, writing, strict=True)]
            except BaseException:
                pool.shutdown(cancel_futures=True)  # what has begun is finished, and is found there the next time
                raise

    def _write(self, frozen: FrozenBuffer, exchange: str, series: Series) -> None:
        """Write a series into history, and prove its file by what the buffer came to."""
        where = (exchange, series.data_type, series.timeframe, series.day)
        path = self._db.layout.day(*where)
        with frozen.connection.cursor() as connection:

            def prove(written: str) -> dict[str, Figures]:
                table = series.data_type
                crash_point("rollover.verify.before")
                found = figures_of(connection, f"SELECT * FROM {written}", table, frozen.columns[table])
                require_same_figures(frozen.figures[series], found, what=f"{path} as staged", source=SOURCE)
                if series.timeframe:
                    refuse_odd_candles(connection, written, series.timeframe)
                crash_point("rollover.verify.after")
                return found

            rows = [frozen.select_sorted(series)]
            self._db.close_day(connection, *where, rows, origin="rollover", prove=prove)

    def _recorded(self, exchange: str, series: Series, writing: Future[None] | None) -> Rolled:
        """Wait until a series is in history, or see to it that the one there is listed; record the step."""
        db = self._db
        path = db.layout.day(exchange, series.data_type, series.timeframe, series.day)
        if writing is not None:
            writing.result()
        elif path not in catalogue.checksums(db.layout, db.settings.sqlite):  # killed between the two
            catalogue.record_day(db.layout, path, origin="rollover", clock=db.clock, settings=db.settings.sqlite)
        done: Literal["closed", "same"] = "closed" if writing is not None else "same"
        record_step(db, exchange, series.day, done, path=str(path.relative_to(db.layout.root)), rows=series.rows)
        crash_point("rollover.close.after")
        return Rolled(*series, done)

    def _stands(self, frozen: FrozenBuffer, exchange: str, series: Series) -> bool:
        """Whether history has the series already, with the same rows; raise ImmutableDay if with others."""
        self._refuse_archived(exchange, series)
        path = self._db.layout.day(exchange, series.data_type, series.timeframe, series.day)
        if not (path.exists() or path.is_symlink()):
            return False
        attach_day(frozen.connection, self._db.layout.confined(path), "closed")
        try:
            theirs = f"SELECT {', '.join(frozen.columns[series.data_type])} FROM closed.{series.data_type}"
            other = difference(frozen.connection, frozen.select(series), theirs)
            (rows,) = frozen.connection.execute(f"SELECT count(*) FROM ({theirs})").fetchall()[0]
        finally:
            frozen.connection.execute("DETACH closed")
        if other is not None:
            raise ImmutableDay(
                f"{path}: this day is closed with {rows} rows, the live buffer holds {series.rows} and not the same, "
                f"such as {other}; nothing was changed. Compare the two, then set the one that is wrong aside"
            )
        return True

    def _refuse_archived(self, exchange: str, series: Series) -> None:
        parts = [series.data_type, *([series.timeframe] if series.timeframe else []), f"date={series.day}"]
        path = self._db.layout.market.joinpath(exchange, "archive", *parts)
        if path.exists():
            raise ImmutableDay(
                f"{path}: {series} is archived and the live buffer holds rows of it; nothing was changed"
            )

    def _is_in_history(self, exchange: str, day: date) -> bool:
        folder = self._db.layout.market / exchange
        names = (
            f"ticks/{day}.duckdb",
            f"candles/*/{day}.duckdb",
            f"archive/ticks/date={day}",
            f"archive/candles/*/date={day}",
        )
        return any(True for name in names for _ in folder.glob(name))

    def _refuse_unfinished(self, day: date, exchange: str) -> None:
        over_us = _over_us(self._db, exchange, day)
        if self._clock.now_us() < over_us:
            raise Refused(
                f"{exchange} {day}: this day lasts until {to_datetime(over_us).isoformat()}; roll it over then"
            )


def _over_us(db: DatabaseManager, exchange: str, day: date) -> int:
    """The instant after which nothing of a day trades; of a day without a session, the end of its date."""
    try:
        session = load_calendar(db.layout.root, exchange).session(day)
    except CalendarError:  # an exchange without a calendar of its own
        session = None
    return session.last_us if session else day_start_us(day) + US_PER_DAY
