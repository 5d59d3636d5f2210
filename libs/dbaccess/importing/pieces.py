"""A plain CSV file in pieces of whole lines, read by Arrow: numbers as numbers, and each symbol of a piece once.

Arrow's reader takes less than half of the processor time of DuckDB's, and where it takes a cell it reads what
`TRY_CAST` does. But it cannot leave out a row: what it does not take is `NotPlain`, and the file is DuckDB's to read.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.csv as pc

from libs.dbaccess.importing.plan import FilePlan
from libs.dbaccess.importing.rows import VALUES

#: A piece is some three hundred thousand rows.
_PIECE_BYTES = 16 << 20
_WORKERS = 2
#: Pieces at work or waiting for their turn, so that no worker waits for the one that takes them.
_AHEAD = _WORKERS + 1
_ARROW = {"DOUBLE": pa.float64(), "BIGINT": pa.int64()}
_SYMBOL = pa.dictionary(pa.int32(), pa.string())
_PACKED = {".gz": "gzip", ".zst": "zstd"}


class NotPlain(Exception):
    """A file has something in it that Arrow's reader would not, or might not, read as it must be read."""


class Piece(NamedTuple):
    """Some lines of a file as columns; symbols are a dictionary. `done` says how much was read, in percent."""

    plan: FilePlan
    table: pa.Table
    done: int


def time_columns(plan: FilePlan) -> list[str]:
    """Name the columns that say when."""
    return [plan.columns[name] for name in ("timestamp", "date", "time") if name in plan.columns]


def read_pieces(plans: Iterable[FilePlan], data_type: str) -> Iterator[Piece]:
    """Read files in their order, several pieces at the same time; raise `NotPlain`, or what the disk says."""
    waiting: deque[tuple[FilePlan, int, Future[pa.Table]]] = deque()

    def next_piece() -> Piece:
        plan, done, future = waiting.popleft()
        try:
            return Piece(plan, future.result(), done)
        except (pa.ArrowException, UnicodeDecodeError) as e:
            raise NotPlain(str(e)) from e

    buffers = cycle([bytearray(_PIECE_BYTES) for _ in range(_AHEAD + 1)])
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="import") as pool:
        for plan in plans:
            kinds = _kinds(plan, data_type)
            with closing(_lines(Path(plan.path), buffers)) as lines:
                for number, (piece, done) in enumerate(lines):
                    waiting.append((plan, done, pool.submit(_parse, piece, plan, kinds, is_first=number == 0)))
                    if len(waiting) >= _AHEAD:
                        yield next_piece()
        while waiting:
            yield next_piece()


def _kinds(plan: FilePlan, data_type: str) -> dict[str, pa.DataType]:
    """Say as what each column is read that is used."""
    if plan.csv is None or max(Counter(plan.columns.values()).values()) > 1:
        raise NotPlain("no CSV, or a column is taken for two things")
    fields = VALUES[data_type].items()
    kinds = {plan.columns[name]: _ARROW[kind] for name, kind in fields if name in plan.columns}
    kinds |= dict.fromkeys(time_columns(plan), pa.string())
    return kinds | ({plan.columns["symbol"]: _SYMBOL} if "symbol" in plan.columns else {})


def _lines(path: Path, buffers: Iterator[bytearray]) -> Generator[tuple[memoryview, int]]:
    """Give a file's lines, so many at a time, each time in the next buffer, and how much was read, in percent."""
    size = max(1, path.stat().st_size)
    packed = _PACKED.get(path.suffix.lower())
    rest = b""
    with path.open("rb", buffering=0) as raw:
        file: Any = pa.CompressedInputStream(raw, packed) if packed else raw
        for buffer in buffers:
            view = memoryview(buffer)
            view[: len(rest)] = rest
            end = _fill(file, view, len(rest))
            cut = end if end < len(buffer) else buffer.rfind(b"\n") + 1
            if buffer.find(b'"', 0, end) >= 0:  # there may be a new line within quotes
                raise NotPlain("a quoted cell")
            rest = bytes(view[cut:end])
            if not cut and end:
                raise NotPlain("a line without end")
            if cut:
                yield view[:cut], raw.tell() * 100 // size
            if end < len(buffer):
                return


def _fill(file: Any, view: memoryview, start: int) -> int:
    """Read until the buffer is full or the file at its end; say up to where the buffer is filled."""
    while start < len(view) and (count := file.readinto(view[start:])):
        start += count
    return start


def _parse(lines: memoryview, plan: FilePlan, kinds: dict[str, pa.DataType], *, is_first: bool) -> pa.Table:
    assert plan.csv is not None
    return pc.read_csv(
        pa.py_buffer(lines),
        read_options=pc.ReadOptions(
            column_names=list(plan.csv.names), skip_rows=int(is_first and plan.csv.header), use_threads=False,
            block_size=len(lines) + 1,
        ),
        parse_options=pc.ParseOptions(delimiter=plan.csv.delimiter, quote_char=False),
        convert_options=pc.ConvertOptions(
            column_types=kinds, include_columns=list(kinds), null_values=[""], strings_can_be_null=True
        ),
        memory_pool=pa.system_memory_pool(),  # Arrow's own gives pages back at once, and they are cleared anew
    )  # fmt: skip
