"""The turtles' breakout of a Donchian channel."""

from __future__ import annotations

from math import isnan

from libs.contracts import OHLCVBar, SignalEvent
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges, stop_at


class DonchianTurtleParameters(IntradayParameters, frozen=True, kw_only=True):
    """Length of the channel that is entered on, and of the shorter one that is left on."""

    entry: Length = 40
    exit: Length = 20
    atr_period: Length = 20
    stop_atrs: Ranges = 3.0

    def __post_init__(self) -> None:
        if self.exit > self.entry:
            raise ValueError(f"exit ({self.exit}) must not be above entry ({self.entry})")


class DonchianTurtle(IntradayStrategy[DonchianTurtleParameters]):
    """Enter on a close beyond the long channel as it was a bar ago, leave on one beyond the short channel."""

    strategy_id = "donchian_turtle"
    purpose = "Enter on a close beyond a long Donchian channel, leave on one beyond a shorter one."
    parameters_type = DonchianTurtleParameters

    @property
    def warmup_bars(self) -> int:
        return max(self.parameters.entry + 1, 4 * self.parameters.atr_period)

    def start(self, context: StrategyContext) -> None:
        self._entry = context.indicator("donchian", period=self.parameters.entry)
        self._exit = context.indicator("donchian", period=self.parameters.exit)
        self._atr = context.indicator("atr", period=self.parameters.atr_period)
        self._before = (float("nan"),) * 4

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        entry, leave = self._entry, self._exit
        upper, lower, leave_upper, leave_lower = self._before
        self._before = (entry.upper, entry.lower, leave.upper, leave.lower)  # type: ignore[attr-defined]  # of donchian
        if isnan(upper):
            return []
        side = (bar.close > upper) - (bar.close < lower)
        if side and context.position.direction != side:
            stop = stop_at(side, bar.close, self.parameters.stop_atrs * self._atr.value)
            return self.go(side, context, stop=stop, channel=upper if side > 0 else lower)
        if context.position.is_long and bar.close < leave_lower:
            return context.go_flat("below the exit channel")
        if context.position.is_short and bar.close > leave_upper:
            return context.go_flat("above the exit channel")
        return []
