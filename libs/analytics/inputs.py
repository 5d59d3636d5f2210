"""The figures the rules read: indicators over a symbol's bars and over longer timeframes built from them.

Each figure has two forms that agree to the bit, over columns and bar by bar. The rules on top exist once, over arrays:
the live form hands them the newest figure of many symbols, the vectorised form all bars of one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from libs.analytics.bars import BarColumns, longer
from libs.bars import Resampler
from libs.contracts import TIMEFRAMES, OHLCVBar
from libs.contracts.sessions import Session
from libs.core.errors import Refused
from libs.indicators import registry
from libs.indicators.columns import Floats

NAN = float("nan")
#: Figures by name; one entry a bar, or one a symbol.
Figures = Mapping[str, Floats]
Sessions = Callable[[date], Session | None]
RAW = ("open", "high", "low", "close", "volume")


class Want(NamedTuple):
    """An indicator a rule reads as `key` (its first output) and `key.<output>`.

    `timeframe` is empty for the bars' own. `lag` is an indicator here: the column so many bars before.
    """

    key: str
    indicator: str
    parameters: tuple[tuple[str, float], ...] = ()
    timeframe: str = ""
    source: str = "close"


def want(key: str, indicator: str, timeframe: str = "", source: str = "close", **parameters: float) -> Want:
    """Spell a `Want`."""
    return Want(key, indicator, tuple(parameters.items()), timeframe, source)


def figures(bars: BarColumns, wants: Iterable[Want], timeframe: str, sessions: Sessions) -> dict[str, Floats]:
    """Compute every figure at every bar; a longer timeframe shows its last complete bar only."""
    found: dict[str, Floats] = {name: bars.columns[name] for name in RAW}
    stretched: dict[str, tuple[BarColumns, np.ndarray[Any, np.dtype[np.int64]]]] = {}
    for each in wants:
        if _is_own(each.timeframe, timeframe):
            found.update(_named(each, _compute(each, bars)))
            continue
        if each.timeframe not in stretched:
            stretched[each.timeframe] = longer(bars, each.timeframe, sessions)
        higher, newest = stretched[each.timeframe]
        for key, column in _named(each, _compute(each, higher)).items():
            seen = np.full(len(bars), np.nan)
            known = newest >= 0
            seen[known] = column[newest[known]]
            found[key] = seen
    return found


class Probe:
    """The streaming form of `figures` for one symbol: cheap, bounded state. Bars that miss a value never get here."""

    def __init__(self, wants: Iterable[Want], timeframe: str, sessions: Sessions) -> None:
        self._own: list[_Held] = []
        self._higher: dict[str, tuple[Resampler, list[_Held]]] = {}
        for each in wants:
            if _is_own(each.timeframe, timeframe):
                self._own.append(_Held(each))
                continue
            if each.timeframe not in self._higher:
                self._higher[each.timeframe] = (Resampler(each.timeframe, sessions), [])
            self._higher[each.timeframe][1].append(_Held(each))

    def update(self, bar: OHLCVBar) -> dict[str, float]:
        """Take the next bar, give every figure."""
        for held in self._own:
            held.update(bar)
        for resampler, all_held in self._higher.values():
            for complete in resampler.add(bar):
                for held in all_held:
                    held.update(complete)
        found: dict[str, float] = {name: getattr(bar, name) for name in RAW}
        for held in self._own:
            held.read(found)
        for _, all_held in self._higher.values():
            for held in all_held:
                held.read(found)
        return found


class _Held:
    """One wanted indicator, being streamed."""

    def __init__(self, wanted: Want) -> None:
        self._indicator: Any = _created(wanted)
        self._source = wanted.source if len(self._indicator.inputs) == 1 else ""
        first, *others = self._indicator.outputs
        key = wanted.key
        self._keys = [(key, first), *((f"{key}.{output}", output) for output in (first, *others))]

    def update(self, bar: OHLCVBar) -> None:
        self._indicator.update(getattr(bar, self._source) if self._source else bar)

    def read(self, into: dict[str, float]) -> None:
        for key, output in self._keys:
            into[key] = getattr(self._indicator, output)


class _Lag:
    """The value so many bars before."""

    inputs = ("close",)
    outputs = ("value",)

    def __init__(self, bars: float) -> None:
        self._ring: deque[float] = deque(maxlen=int(bars) + 1)
        self.value = NAN

    def update(self, item: float) -> float:
        self._ring.append(item)
        if len(self._ring) == self._ring.maxlen:
            self.value = self._ring[0]
        return self.value


def _created(wanted: Want) -> Any:
    if wanted.indicator == "lag":
        return _Lag(**dict(wanted.parameters))
    return registry.create(wanted.indicator, **dict(wanted.parameters))


def _compute(wanted: Want, bars: BarColumns) -> dict[str, Floats]:
    parameters = dict(wanted.parameters)
    if wanted.indicator == "lag":
        size, back = len(bars), int(parameters["bars"])
        lagged = np.full(size, np.nan)
        lagged[back:] = bars.columns[wanted.source][: max(0, size - back)]
        return {"value": lagged}
    columns: dict[str, Any] = {**bars.columns, "timestamp_us": bars.timestamp_us}
    if wanted.source != "close":
        columns["close"] = bars.columns[wanted.source]
    return registry.compute(wanted.indicator, columns, **parameters)


def _named(wanted: Want, outputs: dict[str, Floats]) -> dict[str, Floats]:
    named = {f"{wanted.key}.{output}": column for output, column in outputs.items()}
    return {wanted.key: next(iter(outputs.values())), **named}


def _is_own(wanted: str, timeframe: str) -> bool:
    if wanted in {"", timeframe}:
        return True
    if TIMEFRAMES.get(wanted, 0) <= TIMEFRAMES[timeframe]:
        raise Refused(f"timeframe {wanted!r} is not longer than the bars' own {timeframe!r}; there are {[*TIMEFRAMES]}")
    return False
