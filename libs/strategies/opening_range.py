"""A close beyond the range of the first minutes."""

from __future__ import annotations

from math import isnan
from typing import Annotated

from msgspec import Meta

from libs.contracts import OHLCVBar, SignalEvent
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Ranges


class OpeningRangeParameters(IntradayParameters, frozen=True, kw_only=True):
    """Length of the range, and the target as a multiple of its height."""

    minutes: Annotated[int, Meta(ge=1, le=180)] = 15
    #: 0: no target, out at the end of the session.
    target_ranges: Ranges = 2.0


class OpeningRangeBreakout(IntradayStrategy[OpeningRangeParameters]):
    """Go with the first close outside the opening range, once each way a day; the far side of the range is the stop."""

    strategy_id = "opening_range"
    purpose = "Go with the first close outside the opening range, once each way a day; the far side is the stop."
    parameters_type = OpeningRangeParameters

    def start(self, context: StrategyContext) -> None:
        self._range = context.indicator("opening_range", minutes=self.parameters.minutes)
        self._taken: set[int] = set()

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        upper, lower = self._range.value, self._range.lower  # type: ignore[attr-defined]  # output of opening_range
        if isnan(upper):
            return []
        side = (bar.close > upper) - (bar.close < lower)
        if not side or side in self._taken:
            return []
        self._taken.add(side)
        reach = bar.close + side * self.parameters.target_ranges * (upper - lower)
        target = round(reach, 2) if self.parameters.target_ranges and reach > 0 and upper > lower else None
        return self.go(side, context, stop=lower if side > 0 else upper, target=target)
