"""How one file will be read: its columns, its times, its symbol."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from csv import reader as csv_reader
from io import BytesIO
from pathlib import Path
from typing import IO, cast

import duckdb
import msgspec

from libs.core.errors import Refused
from libs.dbaccess.connections import duckdb_memory, quote
from libs.dbaccess.errors import StoreMissing
from libs.dbaccess.importing.columns import guess, is_header, symbol_of_file
from libs.dbaccess.importing.moments import moments_of

_PARQUET = (".parquet", ".pq")
_DELIMITERS = ",;\t|"


class ImportRequest(msgspec.Struct, frozen=True):
    """What the caller says about the files; what is left out is guessed, and shown."""

    data_type: str
    exchange: str = "nse"
    timeframe: str | None = "1m"
    zone: str = "Asia/Kolkata"
    time_format: str | None = None
    symbol: str | None = None
    columns: tuple[str, ...] = ()
    chosen: Mapping[str, str] = {}
    keep_repeats: bool = False


class CsvSource(msgspec.Struct, frozen=True):
    """How the lines of a CSV file become cells."""

    path: str
    names: tuple[str, ...]
    header: bool
    delimiter: str

    def sql(self, kinds: Mapping[str, str] = {}, time_form: str = "", *, strict: bool = False) -> str:
        """Spell its rows; a column comes as text unless `kinds` says what it must be.

        A line no row can be made of is left out and noted in `reject_errors`; a `strict` reader fails at it.
        """
        spec = ", ".join(f"{quote(name)}: {quote(kinds.get(name, 'VARCHAR'))}" for name in self.names)
        form = f", timestampformat = {quote(time_form)}" if time_form else ""
        return (
            f"read_csv({quote(self.path)}, auto_detect = false, header = {str(self.header).lower()}, "
            f"delim = {quote(self.delimiter)}, quote = '\"', escape = '\"', columns = {{{spec}}}"
            f"{form}{'' if strict else ', store_rejects = true, rejects_limit = 0'})"
        )


class FilePlan(msgspec.Struct, frozen=True):
    """How a file is read. `source` is the SQL of its rows, the others are for people.

    A `csv` can also be read as numbers at once, which a bad cell would break; where its times all have one form,
    `time_form`, as times too, of which `naive_sql` makes moments.
    """

    path: str
    columns: dict[str, str]
    times: str
    symbol: str
    ignored: tuple[str, ...]
    source: str
    moment_sql: str
    csv: CsvSource | None = None
    time_form: str = ""
    naive_sql: str = ""


def plan_file(connection: duckdb.DuckDBPyConnection, path: Path, request: ImportRequest) -> FilePlan:
    """Guess how to read a file, looking at its first rows only."""
    if not path.is_file():
        raise StoreMissing(path, "expected a CSV or Parquet file")
    csv = None
    if path.suffix.lower() in _PARQUET:
        source = f"read_parquet({quote(path)}, hive_partitioning = false)"
        names, kinds = _parquet_columns(connection, source, path)
    else:
        csv = _csv_source(path, request)
        names, source = list(csv.names), csv.sql()
        kinds = dict.fromkeys(names, "VARCHAR")
    found = guess(names, request.data_type, request.chosen, path)
    if "timestamp" in found:
        column, kind = identifier(found["timestamp"]), kinds[found["timestamp"]]
    else:
        parts = [f"CAST({identifier(found[part])} AS VARCHAR)" for part in ("date", "time")]
        column, kind = f"({parts[0]} || ' ' || {parts[1]})", "VARCHAR"
    moments = moments_of(
        connection, source, column, kind, zone=request.zone, given=request.time_format, path=path
    )  # fmt: skip
    symbol = request.symbol or ("" if "symbol" in found else symbol_of_file(path))
    used = {*found.values()}
    ignored = tuple(name for name in names if name not in used)
    time_form = moments.strict if csv and "timestamp" in found else ""
    return FilePlan(
        str(path), found, moments.form, symbol, ignored, source, moments.sql, csv, time_form, moments.naive_sql
    )


def plan_files(paths: Sequence[Path], request: ImportRequest) -> list[FilePlan]:
    """Guess how to read files, without taking anything of them."""
    with duckdb_memory() as connection:
        return [plan_file(connection, path, request) for path in paths]


def identifier(name: str) -> str:
    """Spell a column's name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def _parquet_columns(
    connection: duckdb.DuckDBPyConnection, source: str, path: Path
) -> tuple[list[str], dict[str, str]]:
    try:
        rows = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    except duckdb.Error as e:
        raise Refused(f"{path}: not a readable Parquet file: {e}") from e
    return [row[0] for row in rows], {row[0]: row[1] for row in rows}


def _csv_source(path: Path, request: ImportRequest) -> CsvSource:
    """Read the first line ourselves: every column comes as text, so that a bad cell spoils its row and no more."""
    first = _first_line(path)
    delimiter = max(_DELIMITERS, key=first.count)
    cells = [cell.strip() for cell in next(csv_reader([first], delimiter=delimiter), [])]
    header = is_header(cells, request.data_type)
    names = _named(request.columns or cells, path) if header or request.columns else []
    if not names:
        raise Refused(
            f"{path}: its first line names no columns we know ({first[:80]!r}); name them with --columns a,b,c"
        )
    if len(names) != len(cells):
        raise Refused(f"{path}: {len(names)} columns named, its first line has {len(cells)}")
    return CsvSource(str(path), tuple(names), header, delimiter)


def _named(cells: Sequence[str], path: Path) -> list[str]:
    """Give every column a name of its own; a frame's index often has none."""
    names = [cell or f"unnamed{number}" for number, cell in enumerate(cells)]
    lowered = [name.lower() for name in names]
    if len(set(lowered)) != len(names):
        raise Refused(f"{path}: columns of the same name: {', '.join(names)}; name them anew with --columns")
    return names


def _first_line(path: Path) -> str:
    try:
        with _unpacked(path) as file:
            raw: bytes = file.readline(65_536)
    except OSError as e:
        raise Refused(f"{path}: cannot be read: {e}") from e
    try:
        line = raw.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError as e:
        raise Refused(f"{path}: not text in UTF-8 (packed files must end in .gz or .zst): {e}") from e
    if not line:
        raise Refused(f"{path}: is empty, or begins with an empty line")
    return line


def _unpacked(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import pyarrow as pa  # Python itself has no zstd yet

        return BytesIO(pa.CompressedInputStream(pa.OSFile(str(path)), "zstd").read(65_536))
    return path.open("rb")
