"""The SQL door: one SELECT over the views `candles` and `ticks`, with no way from it to anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedInVain
from concurrent.futures import wait as wait_for
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import duckdb

from libs.contracts.market import TIMEFRAMES
from libs.core.clock import Clock, trading_date
from libs.core.errors import Refused
from libs.dbaccess.connections import duckdb_memory, quote
from libs.dbaccess.init import require_root
from libs.dbaccess.layout import exchange_name, symbol_name
from libs.dbaccess.queries.attached import AttachedDays, DayGone
from libs.dbaccess.queries.bounds import Moment, to_interval
from libs.dbaccess.queries.catalogue import Catalogue
from libs.dbaccess.queries.damage import find_damage
from libs.dbaccess.queries.hints import Hints, hints_of
from libs.dbaccess.queries.live import LivePart, live_part
from libs.dbaccess.queries.reader import Stores
from libs.dbaccess.queries.series import Series, empty_view, series_select, stored_series
from libs.dbaccess.queries.symbols import symbol_days

if TYPE_CHECKING:
    import pyarrow as pa

Answer = TypeVar("Answer")

#: A day may be archived between its listing and its opening; after so many surprises something else is wrong.
_ATTEMPTS_MAX = 5
#: So long the engine may take to heed an interrupt.
_HEEDS_S = 3.0

#: What is wrong with the statement, not with the stores.
_USERS_MISTAKES = (
    duckdb.ProgrammingError,  # syntax, names, types, a write
    duckdb.DataError,  # conversions, values out of range
    duckdb.NotSupportedError,
    duckdb.ConstraintException,
    duckdb.PermissionException,
)


class BadQuery(Refused):
    """The statement cannot be run here; says why, in the engine's words."""


@dataclass(frozen=True)
class Opened:
    """A running query: its columns, its rows batch by batch, and how many files it has before it."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    files: int


@contextmanager
def sql_door(
    db: Stores,
    sql: str,
    *,
    start: Moment | None = None,
    end: Moment | None = None,
    symbols: Sequence[str] = (),
    give_up: Callable[[str], NoReturn] | None = None,
) -> Iterator[Opened]:
    """Run one SELECT over history, archive and live as one; nothing else is read and nothing is written.

    `start`, `end` and `symbols` narrow the views themselves. Plain conditions on timestamp, timeframe, exchange and
    symbol in the statement keep days closed that cannot matter. Stops after `query.timeout_s`, and at Ctrl-C: the
    engine looks up between two blocks of rows only, and there are statements of one block that take minutes. Whoever
    has a process to spare for it says by `give_up`, which is told why, how that ends; all others wait for the engine.
    """
    start_us, end_us = to_interval(start, end)
    names = tuple(dict.fromkeys(symbol_name(symbol) for symbol in symbols))
    require_root(db.layout)
    settings = db.settings.query
    with ExitStack() as stack:
        connection = stack.enter_context(
            duckdb_memory(memory_max_mib=settings.memory_max_mib, threads_max=settings.threads_max)
        )
        runner = _Patience(connection, db.clock, settings.timeout_s, stack, give_up)
        hints = _checked(connection, sql)
        hints = replace(hints, start_us=max(hints.start_us, start_us), end_us=min(hints.end_us, end_us))
        if names:
            wanted = frozenset(names)
            hints = replace(hints, symbols=wanted if hints.symbols is None else hints.symbols & wanted)
        first, last = trading_date(hints.start_us), trading_date(max(hints.end_us - 1, hints.start_us))
        live = stack.enter_context(live_part(db.layout, db.settings.live, first, last))
        found, aliases = _attached(db, sql, hints, live, AttachedDays(connection, settings.attached_days_max))
        day_files = [file for series in found for file in series.day_files]
        for table in ("candles", "ticks"):
            selects = [series_select(one, aliases, (start_us, end_us), names) for one in found if one.table == table]
            connection.execute(f"CREATE OR REPLACE VIEW {table} AS {' UNION ALL '.join(selects) or empty_view(table)}")
        parquet = [path for series in found for path in series.parquet_files]
        _lock(connection, parquet)
        try:
            reader = runner.wait(lambda: connection.sql(sql).to_arrow_reader())
            yield Opened(reader.schema, runner.each(reader), len(day_files) + len(parquet))
        except duckdb.Error as e:
            raise _explained(e, found, settings.memory_max_mib) from e


def _attached(
    db: Stores, sql: str, hints: Hints, live: LivePart | None, attached: AttachedDays
) -> tuple[list[Series], dict[Path, str]]:
    """Find the series and attach their day files; again when a day went to the archive under the listing."""
    for attempt in range(_ATTEMPTS_MAX):
        found = _series(db, sql, hints, live)
        day_files = [file for series in found for file in series.day_files]
        if len(day_files) > attached.days_max:
            raise BadQuery(
                f"{len(day_files)} day files would be opened, {attached.days_max} may be (query.attached_days_max, and "
                "half of ulimit -n); narrow it by --from and --to or by timeframe"
            )
        attached.make_room(day_files)
        try:
            return found, attached.aliases(day_files)
        except DayGone:
            if attempt == _ATTEMPTS_MAX - 1:
                raise
    raise AssertionError("the loop returns or raises")


def _checked(connection: duckdb.DuckDBPyConnection, sql: str) -> Hints:
    """Refuse what is not exactly one SELECT, and read its hints."""
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as e:
        raise BadQuery(str(e)) from e
    kinds = [statement.type.name for statement in statements]
    if kinds != ["SELECT"]:
        raise BadQuery(f"exactly one SELECT is run here, found {', '.join(kinds) or 'nothing'}")
    return hints_of(connection, sql)


def _series(db: Stores, sql: str, hints: Hints, live: LivePart | None) -> list[Series]:
    """Find the files of every series the statement may read; a view whose name does not occur is not built."""
    catalogue = Catalogue(db.layout, db.clock)
    exchanges = set(catalogue.exchanges()) | ({live.exchange} if live else set())
    wanted = [("candles", timeframe) for timeframe in TIMEFRAMES if "candles" in sql.lower()]
    chosen = [pair for pair in wanted if hints.timeframes is None or pair[1] in hints.timeframes]
    pairs: Iterable[tuple[str, str | None]] = [*chosen, *([("ticks", None)] if "ticks" in sql.lower() else [])]
    with symbol_days(db.layout, db.settings.sqlite, hints.symbols) as holding:
        found = [
            holding.narrowed(
                stored_series(
                    catalogue, live, exchange_name(exchange), table, timeframe, (hints.start_us, hints.end_us)
                )
            )
            for exchange in sorted(exchanges)
            if hints.exchanges is None or exchange in hints.exchanges
            for table, timeframe in pairs
        ]
    return [series for series in found if series.days]


def _lock(connection: duckdb.DuckDBPyConnection, parquet: Sequence[Path]) -> None:
    """Close every way out. Paths are allowed one by one: an allowed directory could be written to."""
    connection.execute("SET temp_directory = ''")
    connection.execute("SET python_enable_replacements = false")
    if parquet:
        connection.execute(f"SET allowed_paths = [{', '.join(quote(path) for path in parquet)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _explained(error: duckdb.Error, found: Sequence[Series], memory_max_mib: int) -> Exception:
    if isinstance(error, duckdb.OutOfMemoryException):
        return BadQuery(f"the query needs more memory than query.memory_max_mib = {memory_max_mib}; narrow it")
    if isinstance(error, _USERS_MISTAKES):
        return BadQuery(str(error))
    for series in found:
        day_files = [file.path for file in series.day_files]
        if damage := find_damage(day_files, series.parquet_files, series.table, "*"):
            return damage
    return BadQuery(str(error))


class _Patience:
    """Runs the engine in a thread of its own: DuckDB does not look at signals, so Ctrl-C must reach somebody else."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, clock: Clock, timeout_s: int, stack: ExitStack,
        give_up: Callable[[str], NoReturn] | None = None,
    ) -> None:  # fmt: skip
        self._connection = connection
        self._give_up = give_up
        self._clock = clock
        self._timeout_s = timeout_s
        self._left_s = float(timeout_s)
        self._pool = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="sql-door"))

    def wait(self, work: Callable[[], Answer]) -> Answer:
        """Give what the work gives; on Ctrl-C or after the time limit the engine is stopped first."""
        began_ns = self._clock.monotonic_ns()
        running = self._pool.submit(work)
        try:
            return running.result(max(self._left_s, 0))
        except WaitedInVain as e:
            raise BadQuery(f"stopped after query.timeout_s = {self._timeout_s} seconds; narrow it") from e
        finally:
            self._left_s -= (self._clock.monotonic_ns() - began_ns) / 1e9  # the engine's time, not its reader's
            if not running.done():
                self._connection.interrupt()
                if self._give_up is not None and wait_for([running], _HEEDS_S).not_done:
                    self._give_up("the engine does not heed being stopped; narrow the query")

    def each(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        """Give batch after batch."""
        while (batch := self.wait(lambda: next(iter(reader), None))) is not None:
            yield batch
