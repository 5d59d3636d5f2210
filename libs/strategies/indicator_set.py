"""The indicators one strategy asked for, kept up to date; and the longer timeframes built from its bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import date
from math import isfinite
from typing import Any

from libs.bars import Resampler
from libs.contracts import OHLCVBar
from libs.contracts.sessions import Session
from libs.indicators import registry
from libs.indicators.base import Indicator

#: How far back a strategy may look, and how much an indicator asked for late is fed.
HISTORY_BARS_MAX = 500


class IndicatorSet:
    """Indicators over one stream of bars. Asking twice for the same gives the same object."""

    def __init__(self) -> None:
        self.recent: deque[OHLCVBar] = deque(maxlen=HISTORY_BARS_MAX)
        self._held: dict[tuple[str, str, tuple[tuple[str, Any], ...]], Indicator] = {}
        self._on_close: list[Callable[[Any], float]] = []
        self._on_source: list[tuple[str, Callable[[Any], float]]] = []
        self._on_bar: list[Callable[[Any], float]] = []

    def get(self, name: str, source: str, parameters: dict[str, Any]) -> Indicator:
        key = (name, source, tuple(sorted(parameters.items())))
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = registry.create(name, **parameters)
            self._feed(held, source)
        return held

    def update(self, bar: OHLCVBar) -> None:
        """Take the next bar: the hottest lines of a backtest."""
        self.recent.append(bar)
        close = bar.close
        for update in self._on_close:
            update(close)
        for update in self._on_bar:
            update(bar)
        if self._on_source:
            for source, update in self._on_source:
                update(getattr(bar, source))

    def _feed(self, indicator: Indicator, source: str) -> None:
        single = len(indicator.inputs) == 1
        for bar in self.recent:
            indicator.update(getattr(bar, source) if single else bar)
        if not single:
            self._on_bar.append(indicator.update)
        elif source == "close":
            self._on_close.append(indicator.update)
        else:
            self._on_source.append((source, indicator.update))


class HigherTimeframe:
    """Bars of a longer timeframe, complete ones only: the bar still forming is not to be seen."""

    def __init__(self, timeframe: str, session_of: Callable[[date], Session | None]) -> None:
        self.timeframe = timeframe
        self.bar: OHLCVBar | None = None
        self._resampler = Resampler(timeframe, session_of)
        self._indicators = IndicatorSet()

    def add(self, bar: OHLCVBar) -> None:
        """Take the next short bar; one that misses a price would make the longer one miss it, and is left out."""
        if not isfinite(bar.open + bar.high + bar.low + bar.close):
            return
        for complete in self._resampler.add(bar):
            self.bar = complete
            self._indicators.update(complete)

    def bars(self, count: int) -> list[OHLCVBar]:
        """The last complete bars, oldest first."""
        return list(self._indicators.recent)[-count:] if count > 0 else []

    def indicator(self, name: str, *, source: str = "close", **parameters: Any) -> Indicator:
        """An indicator over the complete bars."""
        return self._indicators.get(name, source, parameters)
