"""Two simple averages that cross."""

from __future__ import annotations

from libs.contracts import OHLCVBar, SignalEvent
from libs.indicators.registry import compute
from libs.indicators.sides import side_of, sides_of
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length
from libs.strategies.wishes import BarColumns, Wishes, at_turns


class SmaCrossParameters(IntradayParameters, frozen=True, kw_only=True):
    """Lengths of the two averages."""

    fast: Length = 10
    slow: Length = 30

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise ValueError(f"fast ({self.fast}) must be below slow ({self.slow})")


class SmaCross(IntradayStrategy[SmaCrossParameters]):
    """Long when the fast average crosses above the slow one, short when it crosses below."""

    strategy_id = "sma_cross"
    version = "2"
    purpose = "Long when the fast simple average crosses above the slow one, short below."
    parameters_type = SmaCrossParameters

    @property
    def warmup_bars(self) -> int:
        return self.parameters.slow + 1

    def start(self, context: StrategyContext) -> None:
        self._fast = context.indicator("sma", period=self.parameters.fast)
        self._slow = context.indicator("sma", period=self.parameters.slow)
        self._side = 0

    def wishes(self, columns: BarColumns) -> Wishes:
        wanted = self.parameters
        fast = compute("sma", columns, period=wanted.fast)["value"]
        return at_turns(sides_of(fast, compute("sma", columns, period=wanted.slow)["value"]))

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        side, before = side_of(self._fast.value, self._slow.value), self._side
        if not side:
            return []
        self._side = side
        return self.go(side, context) if before == -side else []
