"""Supertrend turning."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np

from libs.contracts import OHLCVBar, SignalEvent
from libs.indicators.registry import compute
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges
from libs.strategies.wishes import BarColumns, Wishes, at_turns


class SupertrendParameters(IntradayParameters, frozen=True, kw_only=True):
    """Length and distance of the line."""

    period: Length = 10
    multiplier: Ranges = 3.0


class SupertrendFollower(IntradayStrategy[SupertrendParameters]):
    """Turn with the Supertrend line, which is the stop of the entry."""

    strategy_id = "supertrend"
    purpose = "Turn with the Supertrend line; the line at the turn is the stop."
    parameters_type = SupertrendParameters

    @property
    def warmup_bars(self) -> int:
        # The line hangs on its last turn; this many bars usually hold one.
        return 12 * self.parameters.period

    def start(self, context: StrategyContext) -> None:
        self._trend = context.indicator(
            "supertrend", period=self.parameters.period, multiplier=self.parameters.multiplier
        )
        self._side = 0

    def wishes(self, columns: BarColumns) -> Wishes:
        found = compute("supertrend", columns, period=self.parameters.period, multiplier=self.parameters.multiplier)
        line = found["line"]

        def how(at: int) -> dict[str, Any]:
            level = line.item(at)
            return {"stop": round(level, 2) if level > 0 else None}

        return at_turns(np.where(np.isnan(line), 0, found["direction"]).astype(np.int8), how)

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        line = self._trend.value
        if isnan(line):
            return []
        side, before = int(self._trend.direction), self._side  # type: ignore[attr-defined]  # output of supertrend
        self._side = side
        if before != -side:
            return []
        return self.go(side, context, stop=round(line, 2) if line > 0 else None)
