"""Today's bars of the whole market as they come, laid out for scans. What was handed out never changes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from libs.contracts import OHLCVBar
from libs.indicators.columns import Floats, Integers
from libs.scanners.panel import Panel
from libs.scanners.running import Running

_FIELDS = ("open", "high", "low", "close", "volume")
_COLUMNS, _ROWS = 64, 64


class Window:
    """Bars of one timeframe and one day: symbols in the order they came, one column an instant.

    Columns are only ever added, and room is made in new arrays, so a panel is a view that another thread may read.
    """

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._instants: Integers = np.empty(_COLUMNS, np.int64)
        self._values: Floats = np.full((len(_FIELDS), _ROWS, _COLUMNS), np.nan)
        self._count = 0
        self._running: dict[tuple[str, ...] | None, Running] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol that had a bar today."""
        return tuple(self._rows)

    def add(self, at_us: int, bars: Iterable[OHLCVBar]) -> None:
        """Take the bars that began at one instant, later than those before."""
        bars = list(bars)
        for bar in bars:
            self._rows.setdefault(bar.symbol, len(self._rows))
        self._make_room()
        column = self._count
        rows = [self._rows[bar.symbol] for bar in bars]
        values = [(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]
        self._values[:, rows, column] = np.array(values, np.float64).reshape(-1, len(_FIELDS)).T
        self._instants[column] = at_us
        self._count += 1

    def panel(self, symbols: tuple[str, ...] | None = None) -> Panel:
        """Give all bars so far, of all symbols or of some; one that had no bar is a row of NaN.

        Indicators go on from the panel of the same symbols that was given before.
        """
        count = self._count
        names = self.symbols if symbols is None else symbols
        if symbols is None:
            values = self._values[:, : len(names), :count]
        else:
            values = np.full((len(_FIELDS), len(names), count), np.nan)
            for place, name in enumerate(names):
                if name in self._rows:
                    values[:, place] = self._values[:, self._rows[name], :count]
        running = self._running.setdefault(symbols, Running())
        opened, high, low, close, volume = values
        return Panel(names, self._instants[:count], opened, high, low, close, volume, running=running)

    def closes(self, symbol: str) -> Floats:
        """Give one symbol's closes so far; none when it had no bar today."""
        row = self._rows.get(symbol)
        return np.empty(0) if row is None else self._values[_FIELDS.index("close"), row, : self._count]

    def _make_room(self) -> None:
        _, rows, columns = self._values.shape
        wanted = (
            rows if len(self._rows) <= rows else 2 * len(self._rows),
            columns if self._count < columns else 2 * columns,
        )
        if wanted == (rows, columns):
            return
        values = np.full((len(_FIELDS), *wanted), np.nan)
        values[:, :rows, :columns] = self._values
        instants = np.empty(wanted[1], np.int64)
        instants[:columns] = self._instants
        self._values, self._instants = values, instants
