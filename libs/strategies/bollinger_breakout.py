"""A close outside the Bollinger bands."""

from __future__ import annotations

from math import isnan

from libs.contracts import OHLCVBar, SignalEvent
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges


class BollingerBreakoutParameters(IntradayParameters, frozen=True, kw_only=True):
    """Length and width of the bands."""

    period: Length = 20
    deviations: Ranges = 2.0


class BollingerBreakout(IntradayStrategy[BollingerBreakoutParameters]):
    """Go with the first close outside a band, leave when the price is back at the middle."""

    strategy_id = "bollinger_breakout"
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

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        bands = self._bands
        middle, upper, lower = bands.value, bands.upper, bands.lower  # type: ignore[attr-defined]  # outputs of bollinger
        if isnan(middle):
            return []
        before, self._side = self._side, (bar.close > upper) - (bar.close < lower)
        if self._side and self._side != before:
            return self.go(self._side, context, stop=round(middle, 2))
        if (bar.close - middle) * context.position.direction < 0:
            return context.go_flat("back at the middle")
        return []
