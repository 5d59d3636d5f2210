"""One date out of the scratch database, part by part, and what the whole of it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import duckdb

from libs.contracts.sessions import Session
from libs.dbaccess.buffers import texts
from libs.dbaccess.coverage import Counted, Minutes, count_imported
from libs.dbaccess.importing.candles import Candles, fold, sorted_once, starts_of, take_parts, together
from libs.dbaccess.importing.dayrows import ROWS, stored_select, take_ticks


class TickDay:
    """A date's ticks, all in one part: they are numbered across symbols, and the engine spills what is too much."""

    minutes = None

    def __init__(self, connection: duckdb.DuckDBPyConnection, day: date, *, keep_repeats: bool) -> None:
        self._connection = connection
        self._keep_repeats = keep_repeats
        self.day = day
        self.found = self.kept = 0

    def parts(self) -> Iterator[str]:
        """Give the SELECT of the rows as they are stored; count those there were, and those that are left."""
        self.found, self.kept = take_ticks(self._connection, self.day, keep_repeats=self._keep_repeats)
        yield stored_select(ROWS)

    def longer(self) -> Iterator[tuple[str, str]]:
        """Give nothing: bars are not made of imported ticks."""
        return iter(())


class CandleDay:
    """A date's candles within a session's hours, in parts of whole symbols, and the longer bars that are wanted."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        day: date,
        rows: int,
        session: Session | None,
        timeframe: str,
        symbols: Sequence[str],
        longer: Sequence[str],
        *,
        rows_max: int,
    ) -> None:
        self._connection = connection
        self._rows, self._rows_max = rows, rows_max
        self._session = session
        self._timeframe = timeframe
        self._symbols, self._texts = symbols, texts(symbols)
        self._longer: dict[str, list[Candles]] = {each: [] for each in longer}
        self.day = day
        self.found = self.kept = 0
        self._counted: dict[str, Counted] = {}

    @property
    def minutes(self) -> Minutes | None:
        """Give what the certificates are drawn up by, once all parts were taken."""
        return Minutes(self._session, self._counted) if self._session and self._timeframe == "1m" else None

    def parts(self) -> Iterator[str]:
        """Give the SELECT of each part as it is stored; count the rows there were, and those that are left."""
        for taken in take_parts(self._connection, self.day, self._rows, self._inside(), rows_max=self._rows_max):
            candles = sorted_once(taken, self.day)
            self.found += taken.rows
            self.kept += candles.rows
            if self._session and candles.rows:
                self._fold(candles, self._session)
                self._count(candles, self._session)
            yield self._select(candles)

    def longer(self) -> Iterator[tuple[str, str]]:
        """Give each timeframe of longer bars and the SELECT of them, once all parts were taken."""
        for timeframe, parts in self._longer.items():
            yield timeframe, self._select(together(parts))

    def _inside(self) -> str:
        if self._session is None or self._timeframe == "1d":
            return "true"
        spans = self._session.trading_spans
        return f"({' OR '.join(f'ts_us >= {start} AND ts_us < {end}' for start, end in spans)})"

    def _fold(self, candles: Candles, session: Session) -> None:
        """Fold each timeframe from the one before: 15m bars begin where 5m bars do, and are a fifth of the work."""
        for timeframe, parts in self._longer.items():
            candles = fold(candles, timeframe, session)
            parts.append(candles)

    def _count(self, candles: Candles, session: Session) -> None:
        if self._timeframe == "1m":
            starts = starts_of(candles.symbol)
            symbols = [self._symbols[place] for place in candles.symbol[starts]]
            self._counted |= count_imported(symbols, starts, candles.ts_us, session)

    def _select(self, candles: Candles) -> str:
        self._connection.register(ROWS, candles.table(self._texts))
        return f"SELECT * FROM {ROWS}"
