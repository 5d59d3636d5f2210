"""A price far from the session's VWAP that turns back."""

from __future__ import annotations

from math import isnan

from libs.contracts import OHLCVBar, SignalEvent
from libs.indicators.sides import side_of
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges, stop_at


class VwapReversionParameters(IntradayParameters, frozen=True, kw_only=True):
    """How far is far, in average ranges."""

    atr_period: Length = 20
    distance_atrs: Ranges = 3.0
    stop_atrs: Ranges = 4.0


class VwapReversion(IntradayStrategy[VwapReversionParameters]):
    """Far from VWAP and the bar turning towards it: go back with it, leave at VWAP."""

    strategy_id = "vwap_reversion"
    version = "2"
    purpose = "Trade back to the session's VWAP from a distance, once a bar turns towards it."
    parameters_type = VwapReversionParameters

    @property
    def warmup_bars(self) -> int:
        return 4 * self.parameters.atr_period

    def start(self, context: StrategyContext) -> None:
        self._vwap = context.indicator("vwap")
        self._atr = context.indicator("atr", period=self.parameters.atr_period)

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        vwap, atr = self._vwap.value, self._atr.value
        if isnan(vwap) or isnan(atr):
            return []
        away = side_of(bar.close, vwap)
        if context.position.direction * away > 0:
            return context.go_flat("at VWAP")
        side = -away
        turns = (bar.close - bar.open) * side > 0
        if context.position.is_flat and turns and abs(bar.close - vwap) >= self.parameters.distance_atrs * atr > 0:
            stop = stop_at(side, bar.close, self.parameters.stop_atrs * atr)
            return self.go(side, context, stop=stop, target=round(vwap, 2), vwap=vwap)
        return []
