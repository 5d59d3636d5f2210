"""What the bars look like: breakouts, extremes, narrow ranges, squeezes, and conditions users write themselves."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from libs.indicators.columns import Floats
from libs.scanners.expression import Expression
from libs.scanners.interface import BaseScan, Found, Parameters, certain, nothing
from libs.scanners.panel import Panel

Bars = Annotated[int, Meta(ge=2, le=500)]
_NARROW = 7


class BreakoutParameters(Parameters, frozen=True, kw_only=True):
    """The range of how many bars is broken."""

    bars: Bars = 20


class Breakout(BaseScan[BreakoutParameters]):
    scan_id = "breakout"
    purpose = "Closed above the high (positive) or below the low (negative) of the `bars` before."
    parameters_type = BreakoutParameters
    by_size = True

    @property
    def bars_needed(self) -> int:
        return self.parameters.bars + 1

    def scan(self, panel: Panel) -> Found:
        high, low = _range(panel, self.parameters.bars)
        close = panel.last("close")
        above, below = (close / high - 1.0) * 100.0, (close / low - 1.0) * 100.0
        score = np.where(close > high, above, np.where(close < low, below, np.nan))
        return Found(score, certain(score, 0.25), {"high": high, "low": low})


class ExtremeParameters(Parameters, frozen=True, kw_only=True):
    """How near the extreme counts, in percent."""

    within_percent: Annotated[float, Meta(ge=0.0, le=20.0)] = 0.5


class YearExtremes(BaseScan[ExtremeParameters]):
    scan_id = "extremes_52w"
    purpose = "At or beyond the 52-week high (1) or low (-1), within `within_percent`."
    parameters_type = ExtremeParameters
    by_size = True

    def scan(self, panel: Panel) -> Found:
        high, low, close = panel.of_day("year_high"), panel.of_day("year_low"), panel.last("close")
        near = self.parameters.within_percent / 100.0
        at_high, at_low = close >= high * (1.0 - near), close <= low * (1.0 + near)
        score = np.where(at_high, close / high, np.where(at_low, -low / close, np.nan))
        return Found(score, np.where(np.abs(score) >= 1.0, 1.0, 0.5), {"year_high": high, "year_low": low})


class RsiParameters(Parameters, frozen=True, kw_only=True):
    """Above `high` or below `low`."""

    period: Bars = 14
    high: Annotated[float, Meta(ge=50.0, le=100.0)] = 70.0
    low: Annotated[float, Meta(ge=0.0, le=50.0)] = 30.0


class RsiExtremes(BaseScan[RsiParameters]):
    scan_id = "rsi_extremes"
    purpose = "RSI at or above `high` (positive score) or at or below `low` (negative)."
    parameters_type = RsiParameters
    by_size = True

    @property
    def bars_needed(self) -> int:
        return self.parameters.period + 1

    def scan(self, panel: Panel) -> Found:
        asked = self.parameters
        rsi = panel.indicator("rsi", period=asked.period)
        score = np.where((rsi >= asked.high) | (rsi <= asked.low), rsi - 50.0, np.nan)
        return Found(score, np.abs(rsi - 50.0) / 50.0, {"rsi": rsi})


class SqueezeParameters(Parameters, frozen=True, kw_only=True):
    """Bollinger bands inside the Keltner channel."""

    period: Bars = 20
    deviations: Annotated[float, Meta(gt=0.0, le=10.0)] = 2.0
    ranges: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.5


class Squeeze(BaseScan[SqueezeParameters]):
    scan_id = "squeeze"
    purpose = "Bollinger bands lie inside the Keltner channel: quiet before a move."
    parameters_type = SqueezeParameters

    @property
    def bars_needed(self) -> int:
        return self.parameters.period + 1

    def scan(self, panel: Panel) -> Found:
        asked = self.parameters

        bands: dict[str, Any] = {"period": asked.period, "multiplier": asked.deviations}
        channel: dict[str, Any] = {"period": asked.period, "multiplier": asked.ranges}
        band_high, band_low = (panel.indicator("bollinger", side, **bands) for side in ("upper", "lower"))
        high, low = (panel.indicator("keltner", side, **channel) for side in ("upper", "lower"))
        width = high - low
        inside = (band_high < high) & (band_low > low) & (width > 0)
        tight = np.where(inside, 1.0 - (band_high - band_low) / width, np.nan)
        return Found(tight, np.clip(tight, 0.0, 1.0), {"tightness": tight})


class NarrowRange(BaseScan[Parameters]):
    scan_id = "nr7"
    purpose = "The newest bar has the narrowest range of the last seven."

    @property
    def bars_needed(self) -> int:
        return _NARROW

    def scan(self, panel: Panel) -> Found:
        ranges = (panel.high - panel.low)[:, -_NARROW:]
        if ranges.shape[1] < _NARROW:
            return nothing(panel)
        known, now = np.isfinite(ranges), ranges[:, -1]
        widest = np.where(known, ranges, -np.inf).max(axis=1)
        narrowest = np.where(known, ranges, np.inf).min(axis=1)
        narrow = np.where(now <= narrowest, 1.0 - now / np.where(widest > 0, widest, np.nan), np.nan)
        return Found(narrow, np.clip(narrow, 0.0, 1.0), {"range": now, "range_max": widest})


class ExpressionParameters(Parameters, frozen=True, kw_only=True):
    """A condition over columns and indicators, as docs/reference/scan-expressions.md spells it."""

    expression: str = "close > open"


class Condition(BaseScan[ExpressionParameters]):
    scan_id = "expression"
    purpose = "Your own condition over columns and indicators holds on the newest bar."
    parameters_type = ExpressionParameters

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._expression = Expression(self.parameters.expression)

    @property
    def bars_needed(self) -> int:
        return self._expression.bars_needed

    def scan(self, panel: Panel) -> Found:
        holds = np.where(np.isfinite(panel.last("close")) & self._expression.newest(panel), 1.0, np.nan)
        return Found(holds, holds, {"close": panel.last("close"), "volume": panel.last("volume")})


def _range(panel: Panel, bars: int) -> tuple[Floats, Floats]:
    """Highest and lowest of the bars before the newest."""
    highs, lows = panel.high[:, -bars - 1 : -1], panel.low[:, -bars - 1 : -1]
    if not highs.shape[1]:
        unknown = np.full(len(panel.symbols), np.nan)
        return unknown, unknown
    highest = np.where(np.isnan(highs), -np.inf, highs).max(axis=1)
    return highest, np.where(np.isnan(lows), np.inf, lows).min(axis=1)
