"""How commands give rows: a table for people; CSV, JSON or Parquet for programs, on standard output or in a file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from cli.exits import WrongUsage
from cli.output import print_table
from libs.core.clock import IST
from libs.core.errors import FleetError, Refused

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("table", "csv", "json", "parquet")


def add_format(parser: argparse.ArgumentParser) -> None:
    """Give a command its --format and --out."""
    parser.add_argument(
        "--format", choices=FORMATS, help="default: by the name of --out, else table; csv and json carry UTC"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there, whole or not at all")


def write_rows(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], options: argparse.Namespace, table_rows_max: int
) -> None:
    """Write the rows as the options say."""
    chosen = options.format or _by_name(options.out)
    if chosen == "parquet" and options.out is None:
        raise WrongUsage("parquet is no text: give it a file with --out")
    if chosen == "table" and options.out is None:
        _print(schema, batches, table_rows_max)
        return
    writers = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}
    if chosen == "table":
        raise WrongUsage("a table is for the screen; with --out choose --format csv, json or parquet")
    with _target(options.out) as file:
        writers[chosen](schema, batches, file)


def _by_name(out: Path | None) -> str:
    if out is None:
        return "table"
    suffix = out.suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise WrongUsage(f"{out}: its name does not say the format; add --format csv, json or parquet")
    return suffix


@contextmanager
def _target(out: Path | None) -> Iterator[IO[bytes]]:
    """Give standard output, or a file that gets its name when all is written."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    staged = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        with staged.open("wb") as file:
            yield file
        staged.replace(out)
    except OSError as e:
        if isinstance(e, FleetError):  # what was read could not be
            raise
        raise Refused(f"{out}: cannot be written: {e.strerror or e}") from e
    finally:
        staged.unlink(missing_ok=True)


def _print(schema: pa.Schema, batches: Iterable[pa.RecordBatch], rows_max: int) -> None:
    rows = chain.from_iterable(zip(*(column.to_pylist() for column in batch.columns), strict=True) for batch in batches)
    shown = list(islice(rows, rows_max))
    print_table(schema.names, ([_text(cell) for cell in row] for row in shown))
    more = next(rows, None) is not None
    note = f"the first {len(shown)} rows; --format csv or --out FILE gives all" if more else f"{len(shown)} rows"
    print(note, file=sys.stderr)


def _text(cell: Any) -> object:
    if isinstance(cell, datetime) and cell.tzinfo is not None:
        return cell.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S.%f").removesuffix(".000000")
    if isinstance(cell, float):
        return float(f"{cell:.12g}")  # 98.60000000000001 is the machine's business
    return "" if cell is None else cell


def _write_csv(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: IO[bytes]) -> None:
    from pyarrow import csv

    with csv.CSVWriter(file, _in_utc(schema)) as writer:
        for batch in batches:
            writer.write_batch(batch.cast(_in_utc(schema)))


def _write_json(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: IO[bytes]) -> None:
    """Write one array, a row a line."""
    encoder = msgspec.json.Encoder(enc_hook=str)
    between = b"[\n"
    for batch in batches:
        for row in batch.cast(_in_utc(schema)).to_pylist():
            file.write(between + encoder.encode(row))
            between = b",\n"
    file.write(b"[]\n" if between == b"[\n" else b"\n]\n")


def _write_parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], file: IO[bytes]) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(file, _in_utc(schema), compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(_in_utc(schema)))


def _in_utc(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    def plain(field: pa.Field) -> pa.Field:
        aware = pa.types.is_timestamp(field.type) and field.type.tz
        return field.with_type(pa.timestamp(field.type.unit, "UTC")) if aware else field

    return pa.schema([plain(field) for field in schema])
