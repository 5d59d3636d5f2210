"""Candles of plain files, kept in memory as columns: read once, by date, and never put into tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from libs.dbaccess.buffers import column_of, numbers, table_of
from libs.dbaccess.importing.candles import Candles, Column, together
from libs.dbaccess.importing.pieces import NotPlain, Piece, read_pieces, time_columns
from libs.dbaccess.importing.plan import FilePlan, ImportRequest, plan_file
from libs.dbaccess.importing.report import ImportReport
from libs.dbaccess.importing.rows import moments_select
from libs.dbaccess.importing.scratch import Spans, day_number, shares
from libs.dbaccess.importing.symbols import symbol_meant

_TIMES = "times_of_piece"


class Kept:
    """The good rows of some files of candles; there are no others in them."""

    def __init__(self, by_day: dict[int, list[Candles]], spellings: Sequence[str]) -> None:
        """Take candles whose symbols are places among spellings."""
        meant = [symbol_meant(each) for each in spellings]
        if None in meant:
            raise NotPlain("a symbol no exchange would list")
        self.symbols: Sequence[str] = sorted({each for each in meant if each})
        places = {each: place for place, each in enumerate(self.symbols)}
        self._places = np.array([places[each] for each in meant if each], np.int32)
        self._by_day = by_day

    def days(self) -> list[tuple[int, int]]:
        """Give the dates in their order, as days since the epoch, and how many rows each has."""
        return [(day, sum(part.rows for part in parts)) for day, parts in sorted(self._by_day.items())]

    def candles(
        self, connection: duckdb.DuckDBPyConnection, day: date, rows: int, spans: Spans, *, rows_max: int
    ) -> Iterator[Candles]:
        """Give a date's candles, as they came; in parts of whole symbols when it has more than so many rows."""
        del connection
        found = together(self._by_day[day_number(day)])
        found = found._replace(symbol=self._places[found.symbol])
        if spans:
            inside = np.zeros(found.rows, np.bool_)
            for start, end in spans:
                inside |= (found.ts_us >= start) & (found.ts_us < end)
            found = found if inside.all() else found.at(inside)
        if rows <= rows_max:
            yield found
            return
        counts = np.bincount(found.symbol)
        places = np.flatnonzero(counts)
        for first, last in shares(zip(places.tolist(), counts[places].tolist(), strict=True), rows_max):
            yield found.at((found.symbol >= first) & (found.symbol <= last))


def keep(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], request: ImportRequest,
    tell: Callable[[int, int, str], None],
) -> tuple[Kept, ImportReport]:  # fmt: skip
    """Read files whole; raise `NotPlain` where a row of them will not do, or might not."""
    found = ImportReport(request.data_type, request.exchange, request.timeframe)
    taking = _Taking(connection, request)

    def plans() -> Iterator[FilePlan]:
        for path in paths:
            found.plans.append(plan_file(connection, path, request))
            yield found.plans[-1]

    done = {path: number * 100 for number, path in enumerate(map(str, paths))}
    try:
        for piece in read_pieces(plans(), request.data_type):
            taking.take(piece)
            path = piece.plan.path
            tell(done[path] + piece.done, len(paths) * 100, f"reading {Path(path).name}")
    except (duckdb.Error, OSError) as e:  # if it is there again in the other way, that knows what to say of it
        raise NotPlain(str(e)) from e
    found.rows_read = taking.rows
    return Kept(taking.by_day, list(taking.spellings)), found


class _Taking:
    """Takes pieces, looks at their rows, and shares them out by date."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, request: ImportRequest) -> None:
        self._connection = connection
        self._request = request
        self.by_day: dict[int, list[Candles]] = {}
        #: Places of spellings, in the order in which they came.
        self.spellings: dict[str, int] = {}
        self.rows = 0

    def take(self, piece: Piece) -> None:
        """Take the rows of a piece."""
        table: pa.Table = piece.table
        if not table.num_rows:
            return
        days, ts_us = self._moments(piece)
        candles = Candles(self._symbols(piece), ts_us, *(self._values(piece, name) for name in Candles._fields[2:]))
        if not _are_good(candles):
            raise NotPlain("a row that is not good")
        self.rows += candles.rows
        if days[0] == days[-1] and (days == days[0]).all():
            self._add(int(days[0]), candles)
            return
        if (days[1:] < days[:-1]).any():
            order = np.argsort(days, kind="stable")
            days, candles = days[order], candles.at(order)
        for start, end in pairwise([0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]):
            self._add(int(days[start]), Candles(*(column[start:end] for column in candles)))

    def _add(self, day: int, candles: Candles) -> None:
        self.by_day.setdefault(day, []).append(candles)

    def _moments(self, piece: Piece) -> tuple[Column, Column]:
        """Give the day and the moment of every row; each text is read once, as it is where rows are tables."""
        columns = time_columns(piece.plan)
        of_row, texts = _each_once([_only_chunk(piece.table[name]) for name in columns])
        self._connection.register(_TIMES, table_of(dict(zip(columns, texts, strict=True))))
        try:
            found: pa.Table = self._connection.execute(
                moments_select(piece.plan, self._request, _TIMES)
            ).to_arrow_table()
        finally:
            self._connection.unregister(_TIMES)
        if any(column.null_count for column in found.columns):
            raise NotPlain("a time that is not good")
        return numbers(found["day"])[of_row], numbers(found["ts_us"])[of_row]

    def _symbols(self, piece: Piece) -> Column:
        """Give the place among spellings of every row's symbol."""
        name = piece.plan.columns.get("symbol")
        if name is None:
            return np.full(piece.table.num_rows, self._place(piece.plan.symbol), np.int32)
        found = _only_chunk(piece.table[name])
        places = [self._place(each) for each in found.dictionary.to_pylist()]
        return np.array(places, np.int32)[_codes(found)]

    def _place(self, spelling: str) -> int:
        if spelling < "!":  # nothing, or behind a space
            raise NotPlain("a symbol that is not good")
        return self.spellings.setdefault(spelling, len(self.spellings))

    def _values(self, piece: Piece, name: str) -> Column:
        column = piece.plan.columns.get(name)
        if column is None:
            return np.zeros(piece.table.num_rows, np.int64)
        return numbers(_only_chunk(piece.table[column]), missing=0)


def _are_good(candles: Candles) -> bool:
    """Whether all rows are, by what `rows` holds of a good one; of symbols and moments that is known."""
    low, high = candles.low, candles.high
    prices = (low > 0) & (low <= candles.open) & (low <= candles.close)
    prices &= (high < np.inf) & (high >= candles.open) & (high >= candles.close)
    return bool(prices.all()) and int(candles.volume.min()) >= 0


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


def _only_chunk(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
