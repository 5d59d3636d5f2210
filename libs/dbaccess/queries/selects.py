"""The SQL that reads one date: rows as they are stored, or longer bars made from its minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from libs.calendar import Calendar
from libs.contracts.market import TIMEFRAMES
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us, to_datetime
from libs.dbaccess.connections import quote
from libs.dbaccess.queries.catalogue import StoredFile
from libs.dbaccess.queries.plan import DayPlan, Place, Source
from libs.dbaccess.queries.request import Request

#: Where bars of a date without a session (a correction, an unknown exchange) are anchored: 09:15 IST.
_USUAL_OPEN_US = 555 * US_PER_MINUTE

_TICK_COLUMNS = "symbol, timestamp, price, volume, bid, ask, volume_day, seq"
_PRICES = "open, high, low, close, volume"
#: The columns of a day's file that are no DOUBLE, by their declared types.
_TYPES = {
    "symbol": "VARCHAR", "timeframe": "VARCHAR", "timestamp": "TIMESTAMP WITH TIME ZONE", "volume": "BIGINT",
    "volume_day": "BIGINT", "seq": "BIGINT",
}  # fmt: skip
#: What DuckDB takes for a pattern in a path.
_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class Arm:
    """One date's part of a query: the files it reads, and its SELECT once the day files' aliases are known."""

    table: str
    columns: str
    day_files: tuple[StoredFile, ...]
    parquet_files: tuple[Path, ...]
    select: Callable[[Mapping[Path, str]], str]
    #: The condition on its rows, when the rows of one day file are all there is to it: such files can be read together.
    condition: str | None = None


class SelectWriter:
    """Writes the SELECT of each date of one request. Symbols are bound, as $symbols; everything else is our own."""

    def __init__(self, request: Request, sessions: Callable[[str], Calendar | None]) -> None:
        self._request = request
        self._sessions = sessions
        self._columns = _TICK_COLUMNS if request.data_type == "ticks" else f"symbol, timeframe, timestamp, {_PRICES}"

    def arm(self, plan: DayPlan) -> Arm:
        """Give one date's part."""
        sources = [source for source in (plan.stored, plan.minutes) if source]
        day_files = [file for source in sources if source.place is Place.HOT for file in source.files]
        archived = [file.path for source in sources if source.place is Place.ARCHIVE for file in source.files]
        segments = [path for source in sources for path in source.segments]
        return Arm(
            self._request.data_type,
            self._columns,
            tuple(day_files),
            (*archived, *segments),
            lambda aliases: self._day(plan, aliases),
            self._alone(plan),
        )

    def _alone(self, plan: DayPlan) -> str | None:
        """Give the condition on a date's rows if its own file holds them as they are asked for."""
        if plan.minutes is not None or plan.source.place is not Place.HOT:
            return None
        if not _PATTERN.isdisjoint(str(plan.source.files[0].path)):
            return None
        return f"{self._wanted()}{self._bounds(plan)}"

    def parameters(self) -> dict[str, object]:
        """Give what the SELECTs bind."""
        symbols = self._request.symbols
        return {"symbols": symbols[0] if len(symbols) == 1 else list(symbols)}

    def _day(self, plan: DayPlan, aliases: Mapping[Path, str]) -> str:
        if plan.minutes is None:
            return self._stored(plan, plan.source, aliases)
        if plan.stored is None:
            return self._made(plan, plan.minutes, aliases)
        stored = self._stored(plan, plan.stored, aliases, whole_day=True)
        made = self._made(plan, plan.minutes, aliases)
        # By bar in the live buffer, where longer bars appear as they close; by symbol in an imported file.
        key = "(symbol, timestamp)" if plan.stored.place is Place.LIVE else "symbol"
        return (
            f"(WITH stored AS MATERIALIZED ({stored}), made AS ({made}) SELECT * FROM stored WHERE true"
            f"{self._bounds(plan)} UNION ALL SELECT * FROM made WHERE {key} NOT IN (SELECT {key} FROM stored))"
        )

    def _stored(self, plan: DayPlan, source: Source, aliases: Mapping[Path, str], *, whole_day: bool = False) -> str:
        bounds = "" if whole_day else self._bounds(plan)
        return f"SELECT {self._columns} FROM {self._rows(plan, source, aliases)} WHERE {self._wanted()}{bounds}"

    def _rows(self, plan: DayPlan, source: Source, aliases: Mapping[Path, str]) -> str:
        return rows_of(self._request.data_type, plan.day, source, aliases, f" AND {self._wanted()}")

    def _made(self, plan: DayPlan, minutes: Source, aliases: Mapping[Path, str]) -> str:
        """Fold minutes into longer bars; of a day that still runs, only bars that are over."""
        timeframe = str(self._request.timeframe)
        calendar = self._sessions(self._request.exchange)
        session = calendar.session(plan.day) if calendar else None
        start = _bar_start(plan, timeframe, session)
        rows = self._rows(plan, minutes, aliases)
        over = ""
        if minutes.place is Place.LIVE:
            length = US_PER_DAY if timeframe == "1d" else TIMEFRAMES[timeframe] * US_PER_MINUTE
            last_us = session.last_us if session else day_start_us(plan.day) + US_PER_DAY
            newest = (
                f"SELECT max(timestamp) FROM {_parquet(list(minutes.segments))} WHERE timeframe = '1m'"
                f" AND timestamp < {instant(day_start_us(plan.day) + US_PER_DAY)}"
            )
            over = (
                f" AND least(timestamp + INTERVAL {length} MICROSECONDS, greatest({instant(last_us)}, timestamp))"
                f" <= ({newest}) + INTERVAL 1 MINUTE"
            )
        return (
            f"SELECT * FROM (SELECT symbol, '{timeframe}' AS timeframe, bar AS timestamp,"
            " arg_min(open, minute) AS open, max(high) AS high, min(low) AS low, arg_max(close, minute) AS close,"
            " sum(volume)::BIGINT AS volume"
            f" FROM (SELECT symbol, {start} AS bar, timestamp AS minute, {_PRICES} FROM {rows} WHERE {self._wanted()})"
            f" GROUP BY symbol, bar) WHERE true{self._bounds(plan)}{over}"
        )

    def _wanted(self) -> str:
        return "symbol = $symbols" if len(self._request.symbols) == 1 else "symbol IN $symbols"

    def _bounds(self, plan: DayPlan) -> str:
        """Limit the dates the interval cuts; the others are inside as a whole."""
        request = self._request
        if request.covers(plan.day):
            return ""
        return f" AND timestamp >= {instant(request.start_us)} AND timestamp < {instant(request.end_us)}"


def rows_of(table: str, day: date, source: Source, aliases: Mapping[Path, str], condition: str = "") -> str:
    """Spell what stands after FROM for one date's source. The condition spares the live buffer needless work."""
    if source.place is Place.HOT:
        return f"{aliases[source.files[0].path]}.{table}"
    if source.place is Place.ARCHIVE:
        return _parquet([file.path for file in source.files])
    # A segment may hold other dates and timeframes; and what a reader sees twice must not count twice.
    key = "symbol, seq" if table == "ticks" else "symbol, timestamp"
    start = day_start_us(day)
    series = "" if table == "ticks" else f" AND timeframe = '{source.timeframe}'"
    return (
        f"(SELECT * FROM {_parquet(list(source.segments))}"
        f" WHERE timestamp >= {instant(start)} AND timestamp < {instant(start + US_PER_DAY)}{series}{condition}"
        f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY seq DESC) = 1)"
    )


def together(arms: Sequence[Arm]) -> str:
    """Spell the rows of several day files with one condition, opened and closed again by the statement itself.

    The first file's types are taken for all, so they must be as declared; the statement fails where they are not.
    """
    table, columns, condition = arms[0].table, arms[0].columns, arms[0].condition
    names = columns.split(", ")
    types = ", ".join(f"typeof({name})" for name in names)
    declared = ", ".join(quote(_TYPES.get(name, "DOUBLE")) for name in names)
    paths = ", ".join(quote(arm.day_files[0].path) for arm in arms)
    return (
        f"SELECT {columns} FROM read_duckdb([{paths}], table_name = '{table}') WHERE {condition}"
        f" AND CASE WHEN [{types}] = [{declared}] THEN true ELSE error('other types than declared') END"
    )


def tick_columns() -> str:
    """Spell the columns of a tick."""
    return _TICK_COLUMNS


def candle_columns(timeframe: str) -> str:
    """Spell the columns of a candle, its timeframe as the constant it is in a file."""
    return f"symbol, '{timeframe}' AS timeframe, timestamp, {_PRICES}"


def _bar_start(plan: DayPlan, timeframe: str, session: Session | None) -> str:
    midnight = day_start_us(plan.day)
    if timeframe == "1d":
        return instant(midnight)
    anchor = session.open_us if session else midnight + _USUAL_OPEN_US
    return f"time_bucket(INTERVAL '{TIMEFRAMES[timeframe]} minutes', timestamp, {instant(anchor)})"


def _parquet(paths: list[Path]) -> str:
    listed = ", ".join(quote(path) for path in paths)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def instant(moment_us: int) -> str:
    """Spell an instant, exact to the microsecond."""
    return f"TIMESTAMPTZ '{to_datetime(moment_us).isoformat()}'"
