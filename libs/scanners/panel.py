"""The whole market at once: symbols down, bars across. A bar that was not traded is NaN."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from libs.contracts import OHLCVBar
from libs.indicators.columns import Floats, Integers

_FIELDS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Panel:
    """Bars of one timeframe of many symbols, in time order; each price array is symbols x bars.

    `previous_close`, `year_high` and `year_low` are of the days before, one a symbol, NaN where not known; `index` is
    the close of the index the market is held against, one a bar.
    """

    symbols: tuple[str, ...]
    timestamp_us: Integers
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    previous_close: Floats = field(default_factory=lambda: np.empty(0))
    year_high: Floats = field(default_factory=lambda: np.empty(0))
    year_low: Floats = field(default_factory=lambda: np.empty(0))
    index: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def bars(self) -> int:
        """How many bars there are."""
        return int(self.timestamp_us.size)

    def last(self, name: str) -> Floats:
        """Each symbol's newest figure, NaN where it has none in the newest bar."""
        values: Floats = getattr(self, name)
        return values[:, -1] if self.bars else np.full(len(self.symbols), np.nan)

    def of_day(self, name: str) -> Floats:
        """One a symbol, or NaN for all when it was not given."""
        values: Floats = getattr(self, name)
        return values if values.size else np.full(len(self.symbols), np.nan)

    def each(self, compute: Callable[[dict[str, npt.NDArray[np.float64]]], float]) -> Floats:
        """Compute a figure from the traded bars of each symbol in turn; NaN for one without any."""
        found = np.full(len(self.symbols), np.nan)
        for row in range(len(self.symbols)):
            traded = np.isfinite(self.close[row])
            if traded.any():
                columns = {name: getattr(self, name)[row][traded] for name in _FIELDS}
                columns["timestamp_us"] = self.timestamp_us[traded]
                found[row] = compute(columns)
        return found


def panel_of(bars: Iterable[OHLCVBar], symbols: Sequence[str], **days: Floats) -> Panel:
    """Lay bars out; bars of other symbols are left out."""
    place = {symbol: row for row, symbol in enumerate(symbols)}
    kept = [bar for bar in bars if bar.symbol in place]
    instants = sorted({bar.timestamp_us for bar in kept})
    column = {instant: number for number, instant in enumerate(instants)}
    arrays = {name: np.full((len(symbols), len(instants)), np.nan) for name in _FIELDS}
    for bar in kept:
        row, number = place[bar.symbol], column[bar.timestamp_us]
        for name in _FIELDS:
            arrays[name][row, number] = getattr(bar, name)
    return Panel(tuple(symbols), np.array(instants, np.int64), **arrays, **days)
