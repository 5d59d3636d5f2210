"""One date out of the scratch database, part by part, and what the whole of it comes to.

A date's rows can be had `again`, to be held against what was written of them; while they are all in one part it is
still there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import NamedTuple, Self

import duckdb
import pyarrow as pa

from libs.contracts.sessions import Session
from libs.dbaccess.buffers import texts
from libs.dbaccess.coverage import Counted, Minutes, count_imported
from libs.dbaccess.figures import Figures, figures_of
from libs.dbaccess.importing.candles import (
    Candles,
    figures_by_symbol,
    fold,
    sorted_once,
    starts_of,
    together,
)
from libs.dbaccess.importing.dayrows import ROWS, stored_select, take_ticks
from libs.dbaccess.importing.scratch import Spans, Staged


class Symbols(NamedTuple):
    """All symbols of an import in their order, as Python and as the engine reads them."""

    names: Sequence[str]
    texts: pa.Array

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """Take the names."""
        return cls(names, texts(names))


class TickDay:
    """A date's ticks, all in one part: they are numbered across symbols, and the engine spills what is too much."""

    minutes = None

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, staged: Staged, day: date, *, keep_repeats: bool
    ) -> None:  # fmt: skip
        self._connection = connection
        self._staged = staged
        self._keep_repeats = keep_repeats
        self._figures: dict[str, Figures] = {}
        self.day = day
        self.found = self.kept = 0

    @property
    def traded(self) -> Collection[str]:
        """Name the symbols that have ticks."""
        return self.figures().keys()

    def parts(self) -> Iterator[str]:
        """Give the SELECT of the rows as they are stored; count those there were, and those that are left."""
        ticks = self._staged.ticks(self._connection, self.day)
        self.found, self.kept = take_ticks(self._connection, ticks, keep_repeats=self._keep_repeats)
        yield stored_select(ROWS)

    def again(self) -> Iterator[str]:
        """Give the SELECT of the rows as they are stored once more."""
        yield stored_select(ROWS)

    def figures(self) -> dict[str, Figures]:
        """Give what the rows come to; they have been compared one by one, so next to nothing goes into the hashes."""
        if not self._figures:
            self._figures = figures_of(self._connection, stored_select(ROWS), "ticks", ("symbol", "timestamp"))
        return self._figures

    def longer(self) -> Iterator[tuple[str, LongerDay]]:
        """Give nothing: bars are not made of imported ticks."""
        return iter(())


class LongerDay:
    """Longer bars of a date, made of its candles: few enough to be in one part."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, candles: Candles, symbols: Symbols) -> None:
        self._connection = connection
        self._candles = candles
        self._symbols = symbols

    def parts(self) -> Iterator[str]:
        """Give the SELECT of the bars as they are stored."""
        yield shown(self._connection, self._candles, self._symbols)

    def again(self) -> Iterator[str]:
        """Give it once more."""
        return self.parts()

    def figures(self) -> dict[str, Figures]:
        """Give what they come to."""
        return figures_by_symbol(self._candles, self._symbols.names)


class CandleDay:
    """A date's candles within a session's hours, in parts of whole symbols, and the longer bars that are wanted."""

    traded = None

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        staged: Staged,
        day: date,
        rows: int,
        session: Session | None,
        timeframe: str,
        symbols: Symbols,
        longer: Sequence[str],
        *,
        rows_max: int,
    ) -> None:
        self._connection = connection
        self._staged = staged
        self._rows, self._rows_max = rows, rows_max
        self._session = session
        self._timeframe = timeframe
        self._symbols = symbols
        self._longer: dict[str, list[Candles]] = {each: [] for each in longer}
        self.day = day
        self.found = self.kept = 0
        self._counted: dict[str, Counted] = {}
        self._figures: dict[str, Figures] = {}

    @property
    def minutes(self) -> Minutes | None:
        """Give what the certificates are drawn up by, once all parts were taken."""
        return Minutes(self._session, self._counted) if self._session and self._timeframe == "1m" else None

    def parts(self) -> Iterator[str]:
        """Give the SELECT of each part as it is stored; count the rows there were, and those that are left."""
        for taken in self._taken():
            candles = sorted_once(taken, self.day)
            self.found += taken.rows
            self.kept += candles.rows
            self._figures |= figures_by_symbol(candles, self._symbols.names)
            if self._session and candles.rows:
                self._fold(candles, self._session)
                self._count(candles, self._session)
            yield shown(self._connection, candles, self._symbols)

    def again(self) -> Iterator[str]:
        """Give the SELECT of each part once more; of several, only the last is still in memory."""
        if self._rows <= self._rows_max:
            yield f"SELECT * FROM {ROWS}"
            return
        for taken in self._taken():
            yield shown(self._connection, sorted_once(taken, self.day), self._symbols)

    def figures(self) -> dict[str, Figures]:
        """Give what the rows come to, once all parts were taken."""
        return self._figures

    def longer(self) -> Iterator[tuple[str, LongerDay]]:
        """Give each timeframe of longer bars, once all parts were taken."""
        for timeframe, parts in self._longer.items():
            yield timeframe, LongerDay(self._connection, together(parts), self._symbols)

    def _taken(self) -> Iterator[Candles]:
        return self._staged.candles(
            self._connection, self.day, self._rows, self._spans(), rows_max=self._rows_max
        )  # fmt: skip

    def _spans(self) -> Spans:
        return () if self._session is None or self._timeframe == "1d" else self._session.trading_spans

    def _fold(self, candles: Candles, session: Session) -> None:
        """Fold each timeframe from the one before: 15m bars begin where 5m bars do, and are a fifth of the work."""
        for timeframe, parts in self._longer.items():
            candles = fold(candles, timeframe, session)
            parts.append(candles)

    def _count(self, candles: Candles, session: Session) -> None:
        if self._timeframe == "1m":
            starts = starts_of(candles.symbol)
            symbols = [self._symbols.names[place] for place in candles.symbol[starts]]
            self._counted |= count_imported(symbols, starts, candles.ts_us, session)


def shown(connection: duckdb.DuckDBPyConnection, candles: Candles, symbols: Symbols) -> str:
    """Let the engine see candles, in place of those it saw before, and give the SELECT of them."""
    connection.register(ROWS, candles.table(symbols.texts))
    return f"SELECT * FROM {ROWS}"
