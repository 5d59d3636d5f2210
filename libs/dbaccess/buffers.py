"""Columns between Arrow and numpy by their buffers.

`pa.array`, `to_numpy` and `np.asarray` of an Arrow column look whether pandas is there by importing it, which takes
longer than a small backtest. What runs in a process of its own goes this way round instead; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from libs.core.errors import Refused

_STAMP = pa.timestamp("us", "UTC")


def numbers(column: pa.Array | pa.ChunkedArray, *, missing: int | None = None) -> npt.NDArray[Any]:
    """Give a column of numbers or instants (as integers).

    A missing float is NaN, a missing integer what is said for it, or refused.
    """
    if isinstance(column, pa.ChunkedArray):
        parts = [numbers(chunk, missing=missing) for chunk in column.chunks if len(chunk)]
        if not parts:
            return np.empty(0, _dtype(column.type))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
    dtype = _dtype(column.type)
    valid, values = column.buffers()
    if not len(column):
        return np.empty(0, dtype)
    start = column.offset
    found = np.frombuffer(values, dtype)[start : start + len(column)]
    if not column.null_count:
        return found
    if dtype.kind != "f" and missing is None:
        raise Refused(f"{column.null_count} of {len(column)} values of type {column.type} are missing")
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), count=start + len(column), bitorder="little")[start:]
    return np.where(bits, found, np.nan if dtype.kind == "f" else dtype.type(missing))


def column_of(values: npt.NDArray[Any]) -> pa.Array:
    """Give an array of integers or floats as a column."""
    values = np.ascontiguousarray(values)
    return pa.Array.from_buffers(_arrow_type(values.dtype), len(values), [None, pa.py_buffer(values)])


def flags(values: npt.NDArray[np.bool_]) -> pa.Array:
    """Give true and false as a column."""
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits)])


def integers(values: Sequence[int | None], kind: pa.DataType | None = None) -> pa.Array:
    """Give integers, some of them missing perhaps, as a column of 64 bits, or another type of that width."""
    return _with_missing(values, np.int64, kind or pa.int64())


def floats(values: Sequence[float | None]) -> pa.Array:
    """Give floats, some of them missing perhaps, as a column."""
    return _with_missing(values, np.float64, pa.float64())


def stamps(values: Sequence[int | None]) -> pa.Array:
    """Give instants in microseconds as a column of aware timestamps."""
    return integers(values, _STAMP)


def texts(values: Sequence[str]) -> pa.Array:
    """Give texts as a column."""
    encoded = [value.encode() for value in values]
    ends = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(each) for each in encoded], out=ends[1:])
    return pa.Array.from_buffers(
        pa.string(), len(encoded), [None, pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))]
    )  # fmt: skip


def table_of(columns: dict[str, pa.Array]) -> pa.Table:
    """Put columns together."""
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _with_missing(values: Sequence[Any], dtype: type[np.generic], kind: pa.DataType) -> pa.Array:
    missing = sum(value is None for value in values)
    if not missing:
        dense = np.array(values, dtype)
        return pa.Array.from_buffers(kind, len(dense), [None, pa.py_buffer(dense)])
    dense = np.array([0 if value is None else value for value in values], dtype)
    valid = np.packbits(np.array([value is not None for value in values]), bitorder="little")
    return pa.Array.from_buffers(kind, len(dense), [pa.py_buffer(valid), pa.py_buffer(dense)], null_count=missing)


def _dtype(kind: pa.DataType) -> np.dtype[Any]:
    if pa.types.is_timestamp(kind):
        return np.dtype(np.int64)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        letter = "f" if pa.types.is_floating(kind) else "u" if pa.types.is_unsigned_integer(kind) else "i"
        return np.dtype(f"{letter}{kind.bit_width // 8}")
    raise Refused(f"a column of type {kind} holds no numbers")


def _arrow_type(dtype: np.dtype[Any]) -> pa.DataType:
    return pa.type_for_alias(dtype.name)
