"""Several indicators that agree."""

from __future__ import annotations

from math import isnan
from typing import Annotated

from msgspec import Meta

from libs.contracts import OHLCVBar, SignalEvent
from libs.indicators.sides import side_of
from libs.strategies.context import StrategyContext
from libs.strategies.intraday import IntradayParameters, IntradayStrategy, Length, Ranges, stop_at

Weight = Annotated[float, Meta(ge=0.0, le=10.0)]


class ConfluenceParameters(IntradayParameters, frozen=True, kw_only=True):
    """The weight of each vote, and how much agreement it takes."""

    trend_weight: Weight = 2.0
    macd_weight: Weight = 1.0
    rsi_weight: Weight = 1.0
    vwap_weight: Weight = 1.0
    higher_weight: Weight = 1.0
    agreement_min: Annotated[float, Meta(ge=0.05, le=1.0)] = 0.8
    atr_period: Length = 14
    stop_atrs: Ranges = 4.0

    def __post_init__(self) -> None:
        if self.weights <= 0.0:
            raise ValueError("at least one weight must be above 0")

    @property
    def weights(self) -> float:
        return self.trend_weight + self.macd_weight + self.rsi_weight + self.vwap_weight + self.higher_weight


class Confluence(IntradayStrategy[ConfluenceParameters]):
    """Enter when the weighted votes agree, leave when they turn against the position; confidence is the agreement."""

    strategy_id = "confluence"
    version = "2"
    purpose = "Enter when trend, MACD, RSI, VWAP and the 15-minute trend agree; leave when they turn."
    parameters_type = ConfluenceParameters

    @property
    def warmup_bars(self) -> int:
        # Ten complete 15-minute bars and the seed of the 15-minute average.
        return 200

    def start(self, context: StrategyContext) -> None:
        self._fast = context.indicator("ema", period=9)
        self._slow = context.indicator("ema", period=21)
        self._macd = context.indicator("macd")
        self._rsi = context.indicator("rsi", period=14)
        self._vwap = context.indicator("vwap")
        self._atr = context.indicator("atr", period=self.parameters.atr_period)
        self._higher = context.higher("15m")
        self._higher_average = self._higher.indicator("ema", period=8)

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        votes = self._votes(bar)
        if any(isnan(vote) for vote in votes.values()):
            return []
        score = sum(votes.values()) / self.parameters.weights
        if abs(score) >= self.parameters.agreement_min - 1e-9:
            side = 1 if score > 0 else -1
            stop = stop_at(side, bar.close, self.parameters.stop_atrs * self._atr.value)
            return self.go(side, context, confidence=min(1.0, abs(score)), stop=stop, votes=votes)
        if score * context.position.direction < 0:
            return context.go_flat("the votes turned")
        return []

    def _votes(self, bar: OHLCVBar) -> dict[str, float]:
        wanted, higher = self.parameters, self._higher.bar
        macd = self._macd
        close = higher.close if higher else float("nan")
        return {
            "trend": wanted.trend_weight * _vote(self._fast.value, self._slow.value),
            "macd": wanted.macd_weight * _vote(macd.macd, macd.signal),  # type: ignore[attr-defined]  # outputs of macd
            "rsi": wanted.rsi_weight * _vote(self._rsi.value, 50.0),
            "vwap": wanted.vwap_weight * _vote(bar.close, self._vwap.value),
            "higher": wanted.higher_weight * _vote(close, self._higher_average.value),
        }


def _vote(one: float, other: float) -> float:
    difference = one - other
    return difference if isnan(difference) else float(side_of(one, other))
