"""RSI coming back from an extreme."""

from __future__ import annotations

from math import isnan
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from libs.contracts import OHLCVBar, SignalEvent
from libs.indicators.registry import compute
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges, stop_at
from libs.strategies.wishes import BarColumns, Wishes

Level = Annotated[float, Meta(ge=0.0, le=100.0)]


class RsiReversionParameters(IntradayParameters, frozen=True, kw_only=True):
    """The extremes, and the level at which the move back is over."""

    period: Length = 14
    low: Level = 30.0
    high: Level = 70.0
    middle: Level = 50.0
    stop_atrs: Ranges = 4.0

    def __post_init__(self) -> None:
        if not self.low < self.middle < self.high:
            raise ValueError(f"low ({self.low}), middle ({self.middle}), high ({self.high}) must rise")


class RsiReversion(IntradayStrategy[RsiReversionParameters]):
    """Buy when RSI comes back above `low`, sell when it comes back below `high`, leave at `middle`."""

    strategy_id = "rsi_reversion"
    purpose = "Buy when RSI comes back from oversold, sell when it comes back from overbought, leave in the middle."
    parameters_type = RsiReversionParameters

    @property
    def warmup_bars(self) -> int:
        return 8 * self.parameters.period

    def start(self, context: StrategyContext) -> None:
        self._rsi = context.indicator("rsi", period=self.parameters.period)
        self._atr = context.indicator("atr", period=self.parameters.period)
        self._before = float("nan")

    def wishes(self, columns: BarColumns) -> Wishes:
        wanted = self.parameters
        rsi = compute("rsi", columns, period=wanted.period)["value"]
        atr = compute("atr", columns, period=wanted.period)["value"]
        before = np.concatenate([[np.nan], rsi[:-1]])
        close = columns["close"]
        with np.errstate(invalid="ignore"):
            known = ~np.isnan(before)
            back_up = known & (before < wanted.low) & (rsi >= wanted.low)
            back_down = known & (before > wanted.high) & (rsi <= wanted.high)
            above, below = known & (rsi > wanted.middle), known & (rsi < wanted.middle)
        side = back_up.astype(np.int8) - back_down.astype(np.int8)

        def how(at: int) -> dict[str, Any]:
            direction = int(side[at])
            return {
                "stop": stop_at(direction, close.item(at), wanted.stop_atrs * atr.item(at)), "rsi": rsi.item(at),
            }  # fmt: skip

        return Wishes(side, leave_long=above, leave_short=below, leave_reason="back in the middle", how=how)

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        rsi, before = self._rsi.value, self._before
        self._before = rsi
        if isnan(before):
            return []
        wanted = self.parameters
        distance = wanted.stop_atrs * self._atr.value
        if before < wanted.low <= rsi:
            return self.go(1, context, stop=stop_at(1, bar.close, distance), rsi=rsi)
        if before > wanted.high >= rsi:
            return self.go(-1, context, stop=stop_at(-1, bar.close, distance), rsi=rsi)
        if (rsi - wanted.middle) * context.position.direction > 0:
            return context.go_flat("back in the middle")
        return []
