"""One sentence: what this strategy looks for."""

from __future__ import annotations

from math import isnan
from typing import Annotated

from msgspec import Meta

from libs.contracts import OHLCVBar, SignalEvent
from libs.strategies import BaseStrategy, Parameters, StrategyContext


class TemplateParameters(Parameters, frozen=True, kw_only=True):
    """What can be tuned. The ranges are enforced, shown, and searched by sweeps."""

    period: Annotated[int, Meta(ge=2, le=500)] = 20
    stop_percent: Annotated[float, Meta(ge=0.1, le=20.0)] = 1.0


class Template(BaseStrategy[TemplateParameters]):
    """Long above an average, flat below it. Replace this with your own idea."""

    strategy_id = "template"
    version = "1"
    purpose = "One sentence for `fleet strategies`."
    parameters_type = TemplateParameters

    @property
    def warmup_bars(self) -> int:
        """Bars it must have seen before its first signal counts."""
        return self.parameters.period

    def start(self, context: StrategyContext) -> None:
        """Ask for indicators here; `fleet indicators` lists them."""
        self._average = context.indicator("sma", period=self.parameters.period)

    def process_bar(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        """Decide on one closed bar. The indicators already include it."""
        average = self._average.value
        if isnan(bar.close - average):  # not warm yet, or a bar without a price
            return []
        if context.closes_within(15) or bar.close < average:
            return context.go_flat("below the average, or the session ends")
        stop = round(bar.close * (1.0 - self.parameters.stop_percent / 100.0), 2)
        return context.go_long(stop=stop, confidence=0.5, average=average)
