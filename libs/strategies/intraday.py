"""What the shipped strategies share: they may stay out of shorts, and are flat before the session ends."""

from __future__ import annotations

from math import isnan
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from libs.contracts import OHLCVBar, SignalEvent
from libs.strategies.context import StrategyContext
from libs.strategies.interface import BaseStrategy, Parameters

Length = Annotated[int, Meta(ge=2, le=500)]
#: 0 switches it off.
Ranges = Annotated[float, Meta(ge=0.0, le=20.0)]


class IntradayParameters(Parameters, frozen=True, kw_only=True):
    """Parameters every shipped strategy has."""

    #: Whether it may sell short.
    allow_short: bool = True
    #: So long before the close it is flat and stays out; 0 holds positions overnight.
    flat_before_close_minutes: Annotated[int, Meta(ge=0, le=375)] = 15


P = TypeVar("P", bound=IntradayParameters)


class IntradayStrategy(BaseStrategy[P]):
    """Implement `decide`; it is called on every bar, so that state is kept also where its answer does not count."""

    parameters_type = IntradayParameters

    def decide(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        """Say what to do on a bar, whatever the hour."""
        raise NotImplementedError

    def process_bar(self, bar: OHLCVBar, context: StrategyContext) -> list[SignalEvent]:
        decided = self.decide(bar, context)
        minutes = self.parameters.flat_before_close_minutes
        # A day bar ends with the session: on those, positions are for longer than a day.
        if minutes and context.closes_within(minutes) and context.timeframe != "1d":
            return context.go_flat("session ends")
        return decided

    def go(self, direction: int, context: StrategyContext, **how: Any) -> list[SignalEvent]:
        """Be long for 1, short for -1; out of a long where shorts are not allowed."""
        if direction > 0:
            return context.go_long(**how)
        return context.go_short(**how) if self.parameters.allow_short else context.go_flat("reversal")


def stop_at(direction: int, price: float, distance: float) -> float | None:
    """A stop so far against the direction; none where there is no distance, or nothing left of the price."""
    stop = price - direction * distance
    return None if isnan(distance) or distance <= 0.0 or stop <= 0.0 else round(stop, 2)
