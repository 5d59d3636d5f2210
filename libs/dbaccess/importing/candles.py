"""A date's candles as columns in memory: sorted, each once, and folded into longer ones.

Every column is a number once the symbol is its place in the list, and numpy sorts and folds them in a third of the
processor time that the engine's tables take. A date of more rows than memory should hold is taken in parts of whole
symbols.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from libs.contracts.market import TIMEFRAMES
from libs.contracts.sessions import Session
from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us
from libs.core.errors import Refused
from libs.dbaccess.buffers import column_of, table_of
from libs.dbaccess.figures import Figures
from libs.dbaccess.importing.rows import STORED
from libs.settings.importing import Importing

_MINUTES_A_DAY = US_PER_DAY // US_PER_MINUTE
#: A row as it comes and as it is sorted, its key, and what the engine makes of it.
_BYTES_A_ROW = 160
#: What part of `importing.memory_max_mib` all days that are closed at the same time may have for such rows.
_PART_OF_MEMORY = 4

Column = npt.NDArray[Any]


class Candles(NamedTuple):
    """Candles of one date; `symbol` is the place in the list of symbols, which is in their order."""

    symbol: Column
    ts_us: Column
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column

    @property
    def rows(self) -> int:
        """How many there are."""
        return len(self.symbol)

    def at(self, places: Column) -> Self:
        """Give those at some places, in that order."""
        return self._replace(**{name: column[places] for name, column in zip(self._fields, self, strict=True)})

    def table(self, symbols: pa.Array) -> pa.Table:
        """Give them as the engine reads them: nothing is copied, and the texts of the symbols are there once."""
        names = pa.DictionaryArray.from_arrays(column_of(self.symbol), symbols)
        stamps = column_of(self.ts_us).view(pa.timestamp("us", "UTC"))
        return table_of(dict(zip(STORED["candles"], (names, stamps, *map(column_of, self[2:])), strict=True)))


def rows_at_once(settings: Importing) -> int:
    """How many rows one day may have in memory."""
    return settings.memory_max_mib * 1_048_576 // (_PART_OF_MEMORY * settings.days_at_once * _BYTES_A_ROW)


def sorted_once(candles: Candles, day: date) -> Candles:
    """Sort candles by symbol and time, each once: of two of one minute, the one that saw more trade is the whole one.

    Of two that traded as much it is the wider, and if they are as wide the higher.
    """
    # Whole minutes of one date, and seldom more symbols than 16 bits count: numpy sorts such by their digits, which
    # takes a fifth of the time.
    minute = ((candles.ts_us - day_start_us(day)) // US_PER_MINUTE).astype(np.uint16)
    symbol = candles.symbol.astype(np.min_scalar_type(int(candles.symbol.max(initial=0))))
    order = np.lexsort((minute, symbol))
    once = candles.at(order)
    is_repeated = (np.diff(once.symbol) == 0) & (np.diff(once.ts_us) == 0)
    if not is_repeated.any():
        return once
    best = np.lexsort((
        -once.open, -once.close, -once.high, once.low - once.high, -once.volume, once.ts_us, once.symbol
    ))  # fmt: skip
    return once.at(best[np.concatenate(([True], ~is_repeated))])


def figures_by_symbol(candles: Candles, symbols: Sequence[str]) -> dict[str, Figures]:
    """Give what sorted candles come to, symbol by symbol, but for the hashes: these are compared row by row."""
    if not candles.rows:
        return {}
    largest = int(candles.volume.argmax())
    if (volume := int(candles.volume[largest])) > np.iinfo(np.int64).max // _MINUTES_A_DAY:
        name = symbols[candles.symbol[largest]]
        raise Refused(f"a candle of {name} has a volume of {volume}: a day of such is more than 64 bits hold")
    starts = starts_of(candles.symbol)
    ends = np.append(starts[1:], candles.rows)
    figures = zip(
        (ends - starts).tolist(), candles.ts_us[starts].tolist(), candles.ts_us[ends - 1].tolist(),
        np.minimum.reduceat(candles.low, starts).tolist(), np.maximum.reduceat(candles.high, starts).tolist(),
        np.add.reduceat(candles.volume, starts).tolist(), strict=True,
    )  # fmt: skip
    names = [symbols[place] for place in candles.symbol[starts].tolist()]
    return {name: Figures._make((*each, 0)) for name, each in zip(names, figures, strict=True)}


def fold(candles: Candles, timeframe: str, session: Session) -> Candles:
    """Fold sorted candles into longer ones, which start where `Session.bar_start` says."""
    day_us = day_start_us(session.date)
    if timeframe == "1d":
        first_us, length = day_us, US_PER_DAY
    else:  # the first that the date can have, of those that are anchored at the open
        length = TIMEFRAMES[timeframe] * US_PER_MINUTE
        first_us = session.open_us - ((session.open_us - day_us) // length + 1) * length
    number = (candles.ts_us - first_us) // length
    starts = starts_of(candles.symbol.astype(np.int64) * (_MINUTES_A_DAY + 1) + number)
    ends = np.append(starts[1:], candles.rows) - 1
    return Candles(
        symbol=candles.symbol[starts], ts_us=first_us + number[starts] * length, open=candles.open[starts],
        high=np.maximum.reduceat(candles.high, starts), low=np.minimum.reduceat(candles.low, starts),
        close=candles.close[ends], volume=np.add.reduceat(candles.volume, starts),
    )  # fmt: skip


def together(parts: Sequence[Candles]) -> Candles:
    """Put parts, each of the symbols after those of the part before, into one."""
    return parts[0] if len(parts) == 1 else Candles(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def starts_of(key: Column) -> Column:
    """Give the places where a sorted key is another than at the place before."""
    return np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
