"""All files read once into a scratch database: in memory, or beside the stores, where a killed import finds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import msgspec

from libs.core.errors import Refused
from libs.core.faults import crash_point
from libs.core.ids import content_id
from libs.dbaccess.connections import attach_day, duckdb_memory, duckdb_writer, naming_disk, quote
from libs.dbaccess.files import make_directory, sync_directory, sync_file
from libs.dbaccess.importing.kept import keep
from libs.dbaccess.importing.pieces import NotPlain
from libs.dbaccess.importing.plan import FilePlan, ImportRequest, plan_file
from libs.dbaccess.importing.report import ImportReport
from libs.dbaccess.importing.rows import REASONS, TORN, staging_ddl, staging_select
from libs.dbaccess.importing.scratch import SCRATCH, Scratch, Staged
from libs.dbaccess.importing.symbols import BAD_SYMBOL, symbol_meant
from libs.dbaccess.layout import Layout
from libs.settings.importing import Importing

#: Called with how many are done, how many there are, and of what.
Report = Callable[[int, int, str], None]

#: What tables it has, in its name: one that an earlier version left is not taken up.
_TABLES = "rows counted names"
_LOOK_S = 0.25
#: Compressed text and Parquet come to about so many times their size.
_PACKED = 8


def staging_folder(layout: Layout) -> Path:
    """Where scratch databases of imports are."""
    return layout.market / ".importing"


@contextmanager
def staged(
    layout: Layout, paths: Sequence[Path], request: ImportRequest, settings: Importing, report: Report
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Staged, ImportReport]]:
    """Give a connection, the rows that were staged, and the report so far.

    What is read in seconds is kept in memory, for to write it down would cost as much as to read it again: those of
    plain files as columns, others in a scratch database. Its tables are `rows`, `counted` (how many of them a day
    and a spelling have), and `names` of spelling and symbol. The scratch of larger files lies on disk: it goes when
    the block ends well, and stays when it raises or is killed, for the next run of the same files.
    """
    folder = staging_folder(layout)
    make_directory(folder, layout.root)
    path = folder / f"{_name(paths, request)}.duckdb"
    with duckdb_memory(memory_max_mib=settings.memory_max_mib) as connection, naming_disk(path):
        connection.execute(f"SET temp_directory = {quote(folder / 'spill')}")
        if path.exists() or not _is_small(paths, settings):
            if not path.exists():
                _clear(folder)
                _stage_on_disk(path, paths, request, settings, report)
            attach_day(connection, path, SCRATCH)
            [(text,)] = connection.execute(f"SELECT report FROM {SCRATCH}.staged_report").fetchall()
            yield connection, Scratch(connection), msgspec.json.decode(text, type=ImportReport)
        else:
            yield connection, *_in_memory(connection, paths, request, settings, report)
    _clear(folder)


def _in_memory(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], request: ImportRequest, settings: Importing,
    report: Report,
) -> tuple[Staged, ImportReport]:  # fmt: skip
    with suppress(NotPlain):
        kept, found = keep(connection, paths, request, report)
        left_mib = settings.memory_max_mib - kept.size_bytes // 1_048_576
        connection.execute(f"SET memory_limit = '{max(left_mib, settings.memory_max_mib // 2)}MiB'")
        return kept, found
    connection.execute(f"ATTACH ':memory:' AS {SCRATCH}")
    connection.execute(f"USE {SCRATCH}")
    found = _read_files(connection, paths, request, report)
    connection.execute("USE memory")
    return Scratch(connection), found


def _is_small(paths: Sequence[Path], settings: Importing) -> bool:
    """Guess whether all rows fit into the part of memory that is theirs; packed files hold several times their size."""
    plain = (".csv", ".txt", ".tsv")
    size = sum(path.stat().st_size * (1 if path.suffix.lower() in plain else _PACKED) for path in paths)
    return size * 100 <= settings.memory_max_mib * 1_048_576 * settings.in_memory_percent


def _name(paths: Sequence[Path], request: ImportRequest) -> str:
    """Name the scratch after what is in it: the same files, unchanged, asked for alike."""
    stats = [(path.resolve(), path.stat()) for path in paths if path.is_file()]
    parts = [f"{path}:{found.st_size}:{found.st_mtime_ns}" for path, found in stats]
    return content_id(_TABLES, msgspec.json.encode(request).decode(), *parts)


def _clear(folder: Path) -> None:
    """Remove scratch databases: this one when it is done with, others because their import is not wanted any more."""
    for left in folder.glob("*.duckdb*"):
        left.unlink()


def _stage_on_disk(
    path: Path, paths: Sequence[Path], request: ImportRequest, settings: Importing, report: Report
) -> None:
    building = path.with_suffix(".duckdb.building")
    with duckdb_writer(building) as connection:
        connection.execute(f"SET memory_limit = '{settings.memory_max_mib}MiB'")
        connection.execute(f"SET temp_directory = {quote(path.parent / 'spill')}")
        found = _read_files(connection, paths, request, report)
        connection.execute("CREATE TABLE staged_report (report VARCHAR)")
        connection.execute("INSERT INTO staged_report VALUES (?)", [msgspec.json.encode(found).decode()])
        connection.execute("CHECKPOINT")
    sync_file(building)
    crash_point("import.staged.before")
    building.rename(path)
    sync_directory(path.parent)
    crash_point("import.staged.after")


def _read_files(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], request: ImportRequest, report: Report
) -> ImportReport:
    found = ImportReport(request.data_type, request.exchange, request.timeframe)
    connection.execute("SET enable_progress_bar = true")
    connection.execute("SET enable_progress_bar_print = false")
    # Of candles none but the values tell which of two is taken, so their order is not worth half the speed.
    connection.execute(f"SET preserve_insertion_order = {str(request.data_type == 'ticks').lower()}")
    connection.execute(staging_ddl(request.data_type))
    for number, source in enumerate(paths):
        plan = plan_file(connection, source, request)
        found.plans.append(plan)
        done = number * 100

        def tell(percent: int, done: int = done, name: str = source.name) -> None:
            report(done + percent, len(paths) * 100, f"reading {name}")

        try:
            if not _read_strictly(connection, plan, request, tell):
                _forget_rejects(connection)
                _watched(connection, f"INSERT INTO rows BY NAME {staging_select(plan, request)}", tell)
                _count_rejects(connection, found)
        except duckdb.Error as e:
            if _is_of_disk(e, source):
                raise
            raise Refused(f"{source}: cannot be read: {e}") from e
    _count(connection, found)
    _name_symbols(connection, found)
    connection.execute("SET preserve_insertion_order = true")
    return found


def _is_of_disk(error: duckdb.Error, source: Path) -> bool:
    """Tell the disk that rows are put on from the file they are read of."""
    text = str(error)
    return "Could not write" in text or (isinstance(error, duckdb.IOException) and str(source) not in text)


def _read_strictly(
    connection: duckdb.DuckDBPyConnection, plan: FilePlan, request: ImportRequest, tell: Callable[[int], None]
) -> bool:
    """Take a file in which every cell is what it must be, or nothing of it: what is wrong is then looked at as text."""
    try:
        _watched(connection, f"INSERT INTO rows BY NAME {staging_select(plan, request, strict=True)}", tell)
    except (duckdb.DataError, duckdb.InvalidInputException):
        return False
    return True


def _watched(connection: duckdb.DuckDBPyConnection, sql: str, tell: Callable[[int], None]) -> None:
    """Run a long statement in a thread of its own and say how far it is; Ctrl-C stops the engine first."""
    with ThreadPoolExecutor(1, thread_name_prefix="import") as pool:
        running = pool.submit(lambda: connection.execute(sql).fetchall())
        try:
            while True:
                try:
                    running.result(_LOOK_S)
                except StillRunning:
                    tell(max(0, min(99, int(connection.query_progress()))))
                else:
                    tell(100)
                    return
        finally:
            if not running.done():
                connection.interrupt()


def _forget_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("DROP TABLE IF EXISTS reject_errors")
    connection.execute("DROP TABLE IF EXISTS reject_scans")


def _count_rejects(connection: duckdb.DuckDBPyConnection, found: ImportReport) -> None:
    """Count the lines the reader itself could make no row of."""
    try:
        [(lines,)] = connection.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchall()
    except duckdb.CatalogException:  # Parquet has no lines
        return
    rows = connection.execute("SELECT DISTINCT csv_line FROM reject_errors LIMIT 3").fetchall()
    found.rows_read += int(lines)
    found.refuse(TORN, int(lines), [str(row[0]) for row in rows])


def _count(connection: duckdb.DuckDBPyConnection, found: ImportReport) -> None:
    [(rows,)] = connection.execute("SELECT count(*) FROM rows").fetchall()
    found.rows_read += int(rows)
    refused = connection.execute(
        "SELECT refused, count(*), list(symbol)[1:3] FROM rows WHERE refused IS NOT NULL GROUP BY refused"
    ).fetchall()
    for reason, count, examples in sorted((REASONS[number - 1], *rest) for number, *rest in refused):
        found.refuse(reason, int(count), [str(each) for each in examples])


def _name_symbols(connection: duckdb.DuckDBPyConnection, found: ImportReport) -> None:
    """Make the tables `counted` and `names`, and count the rows whose symbol cannot be one."""
    connection.execute(
        "CREATE TABLE counted AS SELECT day, symbol, count(*) AS rows FROM rows WHERE refused IS NULL GROUP BY ALL"
    )
    spellings = [row[0] for row in connection.execute("SELECT DISTINCT symbol FROM counted").fetchall()]
    pairs = [(each, symbol_meant(each)) for each in spellings]
    connection.execute("CREATE TABLE names (symbol VARCHAR, clean VARCHAR)")
    if pairs:
        spelled, clean = zip(*pairs, strict=True)
        connection.execute("INSERT INTO names SELECT unnest(?), unnest(?)", [list(spelled), list(clean)])
    if bad := [spelling for spelling, clean in pairs if clean is None]:
        [(count,)] = connection.execute(
            "SELECT sum(rows) FROM counted SEMI JOIN (FROM names WHERE clean IS NULL) USING (symbol)"
        ).fetchall()
        found.refuse(BAD_SYMBOL, int(count), bad)
