"""Indicators of a whole market, kept up bar by bar: what a minute costs does not grow with the day."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress, islice, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import numpy.typing as npt

from libs.core.errors import Refused
from libs.indicators import registry
from libs.indicators.base import Indicator
from libs.indicators.columns import Floats

if TYPE_CHECKING:
    from libs.scanners.panel import Panel

#: An indicator nobody asked for over so many bars is let go: scans are configured anew while the market runs.
IDLE_BARS_MAX = 30
_FIELDS = ("open", "high", "low", "close", "volume")


class Running:
    """Indicators in their streaming form, one a symbol, over the bars a symbol traded in.

    Asked again with a panel that goes on from the last one, they take only the bars that came since; asked with
    another one they begin anew. The values are those of the vectorised form, to the bit. For one thread at a time.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[object, ...], _Line] = {}

    def newest(
        self, panel: Panel, name: str, parameters: Mapping[str, Any], source: str = "", bars: int = 1
    ) -> dict[str, Floats]:
        """Give each output at the newest `bars` bars each symbol traded in: symbols x bars, NaN where unknown."""
        key = (name, source, *sorted(parameters.items()))
        line = self._lines.get(key)
        if line is None or line.bars < bars or not line.goes_on(panel):
            self._lines = {held: each for held, each in self._lines.items() if each.taken + IDLE_BARS_MAX >= panel.bars}
            line = self._lines[key] = _Line(name, dict(parameters), source, bars)
        line.take(panel)
        return line.newest(bars)


class _Bar(msgspec.Struct, gc=False):
    timestamp_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class _Line:
    """One indicator of every symbol."""

    def __init__(self, name: str, parameters: dict[str, Any], source: str, bars: int) -> None:
        self.bars = bars
        self.taken = 0
        self._name, self._parameters = name, parameters
        pattern = registry.create(name, **parameters)
        self._is_single = len(pattern.inputs) == 1
        self._outputs = pattern.outputs
        self._reads = [each for each in pattern.inputs if each in _FIELDS]
        if source:
            if not self._is_single or source not in _FIELDS:
                raise Refused(f"indicator {name!r} of {source!r}: it reads {', '.join(pattern.inputs)}")
            self._reads = [source]
        self._symbols: tuple[str, ...] = ()
        self._last_us = 0
        self._made: list[Indicator] = []
        self._updates: list[Callable[[Any], float]] = []
        #: Whose newest bar misses nothing: one that does is skipped by the indicator, and has no value.
        self._is_whole: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        #: The newest values, when more than the last one is asked for.
        self._tail: Floats = np.empty((len(self._outputs), 0, bars))

    def goes_on(self, panel: Panel) -> bool:
        """Whether a panel holds what was taken, in the same places, and perhaps more."""
        if panel.bars < self.taken or panel.symbols[: len(self._symbols)] != self._symbols:
            return False
        return not self.taken or int(panel.timestamp_us[self.taken - 1]) == self._last_us

    def take(self, panel: Panel) -> None:
        """Take the bars that came since."""
        if len(panel.symbols) > len(self._made):
            self._widen(len(panel.symbols) - len(self._made))
            self._symbols = panel.symbols
        if panel.bars - self.taken > 1:
            self._take_many(panel)
        elif panel.bars > self.taken:
            self._take_one(panel)
        self.taken = panel.bars
        self._last_us = int(panel.timestamp_us[-1]) if panel.bars else 0

    def newest(self, bars: int) -> dict[str, Floats]:
        """Give the values at the newest bars."""
        values = self._tail[:, :, -bars:].copy() if self.bars > 1 else self._values()[:, :, None]
        return dict(zip(self._outputs, values, strict=True))

    def _widen(self, new: int) -> None:
        """Take more symbols; they had no bar in what was taken, or there would have been a row of them."""
        made = [registry.create(self._name, **self._parameters) for _ in range(new)]
        self._made += made
        self._updates += [one.update for one in made]
        self._is_whole = np.append(self._is_whole, np.zeros(new, np.bool_))
        unknown = np.full((len(self._outputs), new, self.bars), np.nan)
        self._tail = np.concatenate([self._tail, unknown], axis=1)

    def _take_one(self, panel: Panel) -> None:
        """Take one bar of every symbol that traded in it."""
        traded = np.isfinite(panel.close[:, -1])
        rows = np.flatnonzero(traded)
        columns = [getattr(panel, name)[rows, -1] for name in self._columns]
        self._is_whole[rows] = np.isfinite(np.array([getattr(panel, name)[rows, -1] for name in self._reads])).all(0)
        items = self._items(repeat(int(panel.timestamp_us[-1])), columns)
        for update, item in zip(compress(self._updates, traded), items, strict=True):
            update(item)
        if self.bars > 1:
            self._tail[:, rows, :-1] = self._tail[:, rows, 1:]
            self._tail[:, rows, -1] = self._values()[:, rows]

    def _take_many(self, panel: Panel) -> None:
        """Take many bars, one symbol after another: a day that is caught up with has half a million."""
        whole = np.isfinite(np.array([getattr(panel, name)[:, self.taken :] for name in self._reads])).all(0)
        for row, is_traded in enumerate(np.isfinite(panel.close[:, self.taken :])):
            traded = np.flatnonzero(is_traded)
            if not traded.size:
                continue
            places = self.taken + traded
            columns = [getattr(panel, name)[row, places] for name in self._columns]
            items = self._items(panel.timestamp_us[places].tolist(), columns)
            update = self._updates[row]
            kept = min(self.bars, len(traded)) if self.bars > 1 else 0
            for item in islice(items, len(traded) - kept):
                update(item)
            for item, is_whole in zip(items, whole[row, traded[len(traded) - kept :]].tolist(), strict=True):
                update(item)
                values = [getattr(self._made[row], name) if is_whole else np.nan for name in self._outputs]
                self._tail[:, row, :-1] = self._tail[:, row, 1:]
                self._tail[:, row, -1] = values
            self._is_whole[row] = whole[row, traded[-1]]

    @property
    def _columns(self) -> Sequence[str]:
        return self._reads if self._is_single else _FIELDS

    def _items(self, instants: Iterable[int], columns: Sequence[Floats]) -> Iterator[Any]:
        """What the indicator takes, bar by bar."""
        lists = [column.tolist() for column in columns]
        return iter(lists[0]) if self._is_single else map(_Bar, instants, *lists)

    def _values(self) -> Floats:
        """Every output of every symbol as it stands."""
        values = [np.fromiter(map(attrgetter(name), self._made), np.float64, len(self._made)) for name in self._outputs]
        return np.where(self._is_whole, np.array(values), np.nan)
