"""Two exponential averages that cross while there is a trend."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from libs.contracts import OHLCVBar, SignalEvent
from libs.indicators.sides import side_of
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges, stop_at


class EmaAdxParameters(IntradayParameters, frozen=True, kw_only=True):
    """Lengths of the averages, and how strong a trend must be."""

    fast: Length = 9
    slow: Length = 21
    adx_period: Length = 14
    adx_min: Annotated[float, Meta(ge=0.0, le=100.0)] = 20.0
    stop_atrs: Ranges = 3.0

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")


class EmaAdx(IntradayStrategy[EmaAdxParameters]):
    """Enter on a cross when ADX says trend, leave on the cross back whatever ADX says."""

    strategy_id = "ema_adx"
    version = "2"
    purpose = "Follow a cross of exponential averages when ADX shows a trend; leave on the cross back."
    parameters_type = EmaAdxParameters

    @property
    def warmup_bars(self) -> int:
        # Exponential averages forget their seed within a few lengths.
        return max(4 * self.parameters.slow, 4 * self.parameters.adx_period)

    def start(self, context: StrategyContext) -> None:
        self._fast = context.indicator("ema", period=self.parameters.fast)
        self._slow = context.indicator("ema", period=self.parameters.slow)
        self._adx = context.indicator("adx", period=self.parameters.adx_period)
        self._atr = context.indicator("atr", period=self.parameters.adx_period)
        self._side = 0

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        side, before = side_of(self._fast.value, self._slow.value), self._side
        if not side:
            return []
        self._side = side
        if before != -side:
            return []
        adx = self._adx.value
        if not adx >= self.parameters.adx_min:
            return context.go_flat("cross without trend") if context.position.direction == -side else []
        stop = stop_at(side, bar.close, self.parameters.stop_atrs * self._atr.value)
        return self.go(side, context, confidence=min(1.0, adx / 50.0), stop=stop, adx=adx)
