"""What a query gives back: the same columns and types always, also when there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from libs.dbaccess.buffers import column_of, flags, numbers

_TIME = pa.timestamp("us", "UTC")
CANDLES = pa.schema([
    ("symbol", pa.string()), ("timeframe", pa.string()), ("timestamp", _TIME),
    ("open", pa.float64()), ("high", pa.float64()), ("low", pa.float64()), ("close", pa.float64()),
    ("volume", pa.int64()),
])  # fmt: skip
TICKS = pa.schema([
    ("symbol", pa.string()), ("timestamp", _TIME), ("price", pa.float64()), ("volume", pa.int64()),
    ("bid", pa.float64()), ("ask", pa.float64()), ("volume_day", pa.int64()), ("seq", pa.int64()),
])  # fmt: skip


def in_order(tables: list[pa.Table], data_type: str) -> pa.Table:
    """Put the parts, which come in order of date, into one table sorted by symbol and time, each candle once."""
    schema = TICKS if data_type == "ticks" else CANDLES
    table = pa.concat_tables([_exact(part, schema) for part in tables]) if tables else pa.Table.from_batches([], schema)
    if table.num_rows < 2:
        return table
    codes, timestamps = _symbol_ranks(table["symbol"]), numbers(table["timestamp"])
    ties = numbers(table["seq"]) if "seq" in schema.names else np.zeros(1, np.int64).repeat(len(codes))
    if not _is_sorted(codes, timestamps, ties):
        # Within a file rows are sorted already, so a stable sort by symbol is usually enough, and ten times faster.
        order = np.argsort(codes, kind="stable")
        if not _is_sorted(codes[order], timestamps[order], ties[order]):
            order = np.lexsort((ties, timestamps, codes))
        table, codes, timestamps = table.take(column_of(order)), codes[order], timestamps[order]
    if "seq" in schema.names:  # two ticks may share an instant
        return table
    again = (codes[1:] == codes[:-1]) & (timestamps[1:] == timestamps[:-1])
    return table.filter(flags(np.concatenate(([True], ~again)))) if again.any() else table


def _exact(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [_filled(table[field.name], field) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _filled(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    column = column.cast(field.type)
    # A frame's integers turn into floats when one is missing, and then every caller's types depend on the data.
    return column.fill_null(0) if column.null_count and pa.types.is_integer(field.type) else column


def _symbol_ranks(symbols: pa.ChunkedArray) -> Any:
    """Number the symbols in byte order."""
    import pyarrow.compute as pc  # as long to load as all else of Arrow

    encoded = pc.dictionary_encode(symbols).unify_dictionaries().combine_chunks()
    names = encoded.dictionary
    ranks = np.empty(len(names), np.uint16 if len(names) < 65_536 else np.int64)
    ranks[numbers(pc.sort_indices(names))] = np.arange(len(names))
    return ranks[numbers(encoded.indices)]


def _is_sorted(codes: Any, timestamps: Any, ties: Any) -> bool:
    earlier = (codes[:-1] < codes[1:]) | (
        (codes[:-1] == codes[1:])
        & ((timestamps[:-1] < timestamps[1:]) | ((timestamps[:-1] == timestamps[1:]) & (ties[:-1] <= ties[1:])))
    )
    return bool(earlier.all())
