"""What the days before say of symbols, for scans: read from history once a symbol and day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np

from libs.dbaccess import DatabaseManager, MarketDataQuery
from libs.indicators.columns import Floats

_YEAR = timedelta(days=365)
Days = dict[str, Floats]
#: What earlier days say of some symbols: previous close, highest and lowest of a year.
DaysOf = Callable[[Sequence[str], date], Days]


class DaysBefore:
    """Reads a symbol when it is first asked for: one more symbol in the market costs one symbol's year."""

    def __init__(self, days_of: DaysOf, today: date) -> None:
        self._days_of = days_of
        self._today = today
        self._row: dict[str, int] = {}
        self._values: Days = {}

    def of(self, symbols: Sequence[str]) -> Days:
        """Give one figure a symbol, in their order; NaN where history has none."""
        new = [symbol for symbol in symbols if symbol not in self._row]
        if new:
            read = self._days_of(new, self._today)
            self._values = {name: np.append(self._values.get(name, np.empty(0)), read[name]) for name in read}
            self._row.update({symbol: number for number, symbol in enumerate(new, len(self._row))})
        rows = [self._row[symbol] for symbol in symbols]
        return {name: values[rows] for name, values in self._values.items()}


def days_from(manager: DatabaseManager, exchange: str) -> DaysOf:
    """Give what history says of the days before; NaN for a symbol it does not know."""

    def read(symbols: Sequence[str], today: date) -> Days:
        with MarketDataQuery(manager) as query:
            table = query.get_candles_many(symbols, exchange, "1d", today - _YEAR, today, output="arrow")
        found = {name: np.full(len(symbols), np.nan) for name in ("previous_close", "year_high", "year_low")}
        names = table["symbol"].combine_chunks().dictionary_encode()
        place = {symbol: row for row, symbol in enumerate(symbols)}
        rows = np.array([place[name] for name in names.dictionary.to_pylist()], np.intp)[names.indices.to_numpy()]
        high, low, close = (table[name].to_numpy() for name in ("high", "low", "close"))
        found["previous_close"][rows] = close  # in order of time: the last one stays
        np.fmax.at(found["year_high"], rows, high)
        np.fmin.at(found["year_low"], rows, low)
        return found

    return read
