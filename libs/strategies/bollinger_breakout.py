"""A close outside the Bollinger bands."""

from __future__ import annotations

from math import isnan

import numpy as np

from libs.contracts import OHLCVBar, SignalEvent
from libs.indicators.registry import compute
from libs.indicators.sides import side_of, sides_of
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges
from libs.strategies.wishes import BarColumns, Wishes


class BollingerBreakoutParameters(IntradayParameters, frozen=True, kw_only=True):
    """Length and width of the bands."""

    period: Length = 20
    deviations: Ranges = 2.0


class BollingerBreakout(IntradayStrategy[BollingerBreakoutParameters]):
    """Go with the first close outside a band, leave when the price is back at the middle."""

    strategy_id = "bollinger_breakout"
    version = "2"
    purpose = "Go with the first close outside the Bollinger bands; leave when it is back at their middle."
    parameters_type = BollingerBreakoutParameters

    @property
    def warmup_bars(self) -> int:
        return self.parameters.period + 1

    def start(self, context: StrategyContext) -> None:
        self._bands = context.indicator(
            "bollinger", period=self.parameters.period, multiplier=self.parameters.deviations
        )
        self._side = 0

    def wishes(self, columns: BarColumns) -> Wishes:
        bands = compute("bollinger", columns, period=self.parameters.period, multiplier=self.parameters.deviations)
        middle, close = bands["middle"], columns["close"]
        # Above the upper band, and below the lower one: never both.
        outside = np.maximum(sides_of(close, bands["upper"]), 0) + np.minimum(sides_of(close, bands["lower"]), 0)
        back = sides_of(close, middle)
        before = np.concatenate([[0], outside[:-1]])
        side = np.where((outside != before) & (outside != 0), outside, 0).astype(np.int8)
        return Wishes(
            side, leave_long=back < 0, leave_short=back > 0, leave_reason="back at the middle",
            how=lambda at: {"stop": round(middle.item(at), 2)},
        )  # fmt: skip

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        bands = self._bands
        middle, upper, lower = bands.value, bands.upper, bands.lower  # type: ignore[attr-defined]  # outputs of bollinger
        if isnan(middle):
            return []
        before, self._side = self._side, max(side_of(bar.close, upper), 0) + min(side_of(bar.close, lower), 0)
        if self._side and self._side != before:
            return self.go(self._side, context, stop=round(middle, 2))
        if side_of(bar.close, middle) * context.position.direction < 0:
            return context.go_flat("back at the middle")
        return []
