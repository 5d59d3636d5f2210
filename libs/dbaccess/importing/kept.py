"""Rows of plain files, kept in memory as columns: read once, by date, and never put into tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from libs.dbaccess.buffers import column_of, numbers, table_of, texts
from libs.dbaccess.importing.candles import Candles, Column
from libs.dbaccess.importing.pieces import NotPlain, read_pieces
from libs.dbaccess.importing.plain import PlainRows
from libs.dbaccess.importing.plan import FilePlan, ImportRequest, plan_file
from libs.dbaccess.importing.report import ImportReport
from libs.dbaccess.importing.rows import VALUES
from libs.dbaccess.importing.scratch import Spans, TickRows, day_number, day_of_number, shares
from libs.dbaccess.importing.symbols import symbol_meant

#: A date's ticks, as a connection sees them.
_TICKS = "ticks_kept"


class Kept:
    """The rows of some files, all of them good: by day since the epoch, tables with places among spellings."""

    def __init__(self, by_day: dict[int, list[pa.Table]], spellings: Sequence[str]) -> None:
        meant = [symbol_meant(each) for each in spellings]
        if None in meant:
            raise NotPlain("a symbol no exchange would list")
        self.symbols: Sequence[str] = sorted({each for each in meant if each})
        places = {each: place for place, each in enumerate(self.symbols)}
        self._places = np.array([places[each] for each in meant if each], np.int32)
        self._by_day = by_day

    @property
    def size_bytes(self) -> int:
        """How much memory they take."""
        return sum(part.nbytes for parts in self._by_day.values() for part in parts)

    def days(self) -> list[tuple[date, int]]:
        """Give the dates in their order, and how many rows each has."""
        found = sorted(self._by_day.items())
        return [(day_of_number(number), sum(part.num_rows for part in parts)) for number, parts in found]

    def candles(
        self, connection: duckdb.DuckDBPyConnection, day: date, rows: int, spans: Spans, *, rows_max: int
    ) -> Iterator[Candles]:
        """Give a date's candles, as they came; in parts of whole symbols when it has more than so many rows."""
        del connection
        table = self._of(day)
        columns: dict[str, Column] = {name: numbers(table[name], missing=0) for name in table.column_names}
        columns["symbol"] = self._places[columns["symbol"]]
        found = Candles(**({"volume": np.zeros(rows, np.int64)} | columns))
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

    def ticks(self, connection: duckdb.DuckDBPyConnection, day: date) -> TickRows:
        """Give a date's ticks, to be had on this connection until those of another date are."""
        table = self._of(day)
        places = self._places[numbers(table["symbol"])]
        names = pa.DictionaryArray.from_arrays(column_of(places), texts(self.symbols))
        there = {name: table[name] for name in VALUES["ticks"] if name in table.column_names}
        lines = column_of(np.arange(table.num_rows))
        connection.register(_TICKS, table_of({"symbol": names, "ts_us": table["ts_us"], **there, "line": lines}))
        filled = {name: len(there[name]) - there[name].null_count if name in there else 0 for name in VALUES["ticks"]}
        return TickRows(f"(SELECT * REPLACE (symbol::listed AS symbol) FROM {_TICKS})", table.num_rows, filled)

    def _of(self, day: date) -> pa.Table:
        """Put a date's parts together; a value one file has and another has not is missing there."""
        return pa.concat_tables(self._by_day[day_number(day)], promote_options="default")


def keep(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], request: ImportRequest,
    tell: Callable[[int, int, str], None],
) -> tuple[Kept, ImportReport]:  # fmt: skip
    """Read files whole; raise `NotPlain` where a row of them will not do, or might not."""
    found = ImportReport(request.data_type, request.exchange, request.timeframe)
    plain = PlainRows(connection, request)
    by_day: dict[int, list[pa.Table]] = {}

    def plans() -> Iterator[FilePlan]:
        for path in paths:
            found.plans.append(plan_file(connection, path, request))
            yield found.plans[-1]

    done = {path: number * 100 for number, path in enumerate(map(str, paths))}
    try:
        for piece in read_pieces(plans(), request.data_type):
            if piece.table.num_rows:
                for day, part in _by_day(*plain.of(piece)):
                    by_day.setdefault(day, []).append(part)
            found.rows_read += piece.table.num_rows
            path = piece.plan.path
            tell(done[path] + piece.done, len(paths) * 100, f"reading {Path(path).name}")
    except (duckdb.Error, OSError) as e:  # if it is there again in the other way, that knows what to say of it
        raise NotPlain(str(e)) from e
    kept = Kept(by_day, plain.spellings)
    if request.data_type == "ticks":  # a number sorts and groups in half the time of a text
        connection.execute("CREATE TYPE listed AS ENUM (SELECT unnest(?::VARCHAR[]))", [kept.symbols])
    return kept, found


def _by_day(days: Column, rows: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Cut rows by their days; those of a day stay in their order."""
    if days[0] == days[-1] and (days == days[0]).all():
        yield int(days[0]), rows
        return
    if (days[1:] < days[:-1]).any():
        order = np.argsort(days, kind="stable")
        days, rows = days[order], rows.take(column_of(order))
    for start, end in pairwise([0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]):
        yield int(days[start]), rows.slice(start, end - start)
