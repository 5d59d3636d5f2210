"""Rows of pieces as they will be closed: all of them good, with their day and moment, or it is not for here."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from libs.core.clock import US_PER_DAY, US_PER_MINUTE
from libs.dbaccess.buffers import column_of, numbers, table_of
from libs.dbaccess.importing.candles import Column
from libs.dbaccess.importing.moments import PLAIN_FORMS, fixed_offset_us
from libs.dbaccess.importing.pieces import NotPlain, Piece, time_columns
from libs.dbaccess.importing.plan import ImportRequest
from libs.dbaccess.importing.rows import IST_OFFSET_US, LAST_US, VALUES, is_by_minute, moments_select

_TIMES = "times_of_piece"
_STAMP = pa.timestamp("us")
#: `2026-02-02 09`, which Arrow takes for nine o'clock and nobody else does.
_HOUR_ALONE = 13


class PlainRows:
    """Makes pieces into rows; symbols become places among the spellings met so far."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, request: ImportRequest) -> None:
        self._connection = connection
        self._request = request
        self._spellings: dict[str, int] = {}

    @property
    def spellings(self) -> Sequence[str]:
        """All spellings so far."""
        return list(self._spellings)

    def of(self, piece: Piece) -> tuple[Column, pa.Table]:
        """Give the day of each row, and the rows: symbol, moment, and those values that the file has."""
        table, named = piece.table, piece.plan.columns
        columns = {name: _only_chunk(table[name]) for name in table.column_names}
        days, ts_us = self._moments(piece, [columns[name] for name in time_columns(piece.plan)])
        symbols = self._symbols(piece, columns.get(named.get("symbol", "")))
        values = {name: columns[named[name]] for name in VALUES[self._request.data_type] if name in named}
        _require_good(self._request.data_type, values)
        return days, table_of({"symbol": column_of(symbols), "ts_us": column_of(ts_us), **values})

    def _moments(self, piece: Piece, texts: Sequence[pa.Array]) -> tuple[Column, Column]:
        request, plan = self._request, piece.plan
        offset_us = fixed_offset_us(request.zone)
        if plan.time_form not in PLAIN_FORMS or request.time_format or offset_us is None:
            return self._moments_by_text(piece, texts)
        (text,) = texts
        if text.null_count or (np.diff(_ends(text)) == _HOUR_ALONE).any():
            raise NotPlain("a time that is not good")
        try:
            ts_us = numbers(text.cast(_STAMP)) - offset_us
        except pa.ArrowInvalid as e:
            raise NotPlain(str(e)) from e
        if ts_us.min() < 0 or ts_us.max() > LAST_US or (is_by_minute(request) and (ts_us % US_PER_MINUTE).any()):
            raise NotPlain("a time that is not good")
        days = (ts_us + IST_OFFSET_US) // US_PER_DAY
        return days, (days * US_PER_DAY - IST_OFFSET_US if request.timeframe == "1d" else ts_us)

    def _moments_by_text(self, piece: Piece, texts: Sequence[pa.Array]) -> tuple[Column, Column]:
        """Read each text once, as it is read where rows are tables."""
        if self._request.data_type == "ticks":  # there are as many as rows
            raise NotPlain("times of ticks that Arrow does not know")
        of_row, each_once = _each_once([text.dictionary_encode() for text in texts])
        times = table_of(dict(zip(time_columns(piece.plan), each_once, strict=True)))
        self._connection.register(_TIMES, times)
        try:
            sql = moments_select(piece.plan, self._request, _TIMES)
            found: pa.Table = self._connection.execute(sql).to_arrow_table()
        finally:
            self._connection.unregister(_TIMES)
        if any(column.null_count for column in found.columns):
            raise NotPlain("a time that is not good")
        return numbers(found["day"])[of_row], numbers(found["ts_us"])[of_row]

    def _symbols(self, piece: Piece, column: pa.DictionaryArray | None) -> Column:
        if column is None:
            return np.full(piece.table.num_rows, self._place(piece.plan.symbol), np.int32)
        places = [self._place(each) for each in column.dictionary.to_pylist()]
        return np.array(places, np.int32)[_codes(column)]

    def _place(self, spelling: str) -> int:
        if spelling < "!":  # nothing, or behind a space
            raise NotPlain("a symbol that is not good")
        return self._spellings.setdefault(spelling, len(self._spellings))


def _require_good(data_type: str, values: dict[str, pa.Array]) -> None:
    """Raise unless all rows are, by what `rows` holds of a good one; of symbols and moments that is known."""
    found = {name: numbers(column, missing=0) for name, column in values.items()}
    # Of `1e400` and `nan(1)` Arrow makes a number, too.
    strange = any(
        np.count_nonzero(~np.isfinite(column)) > values[name].null_count
        for name, column in found.items()
        if column.dtype.kind == "f"
    )
    if data_type == "candles":
        low, high, ends = found["low"], found["high"], (found["open"], found["close"])
        good = (low > 0) & np.logical_and.reduce([(low <= each) & (high >= each) for each in ends])
    else:
        good = found["price"] > 0
    if strange or not good.all() or ("volume" in found and int(found["volume"].min()) < 0):
        raise NotPlain("a row that is not good")


def _each_once(columns: Sequence[pa.DictionaryArray]) -> tuple[Column, list[pa.Array]]:
    """Give which of some texts each row has, or which pair of them, and these."""
    if len(columns) == 1:
        return _codes(columns[0]), [columns[0].dictionary]
    one, other = columns
    pairs = _codes(one).astype(np.int64) * len(other.dictionary) + _codes(other)
    there, of_row = np.unique(pairs, return_inverse=True)
    ones, others = np.divmod(there, len(other.dictionary))
    return of_row, [one.dictionary.take(column_of(ones)), other.dictionary.take(column_of(others))]


def _codes(column: pa.DictionaryArray) -> Column:
    if column.null_count:
        raise NotPlain("a cell is empty")
    return numbers(column.indices)


def _ends(text: pa.Array) -> Column:
    """Give where each text begins, and the end of the last."""
    return np.frombuffer(text.buffers()[1], np.int32)[text.offset : text.offset + len(text) + 1]


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
