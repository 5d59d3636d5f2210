"""What kind of market it is: trend, range or volatile, by rules anyone can recompute.

1. volatile: the average range of 14 bars is at least `volatile_ratio` times that of 100 bars;
2. trend: ADX reaches `trend_adx`, and goes on until ADX falls below `range_adx`; up or down by the directional
   indicators (equal ones keep the side before, up at first);
3. range: everything else. Unknown: until all figures are there.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta

from libs.analytics.inputs import Figures, Want, want
from libs.contracts.analytics import MarketRegime, RegimeReading
from libs.indicators.columns import Floats, Integers

VERSION = "1"
_PERIOD, _LONG_PERIOD = 14, 100
_NAMES = (MarketRegime.UNKNOWN, MarketRegime.RANGE, MarketRegime.TREND_UP, MarketRegime.TREND_DOWN,
          MarketRegime.VOLATILE)  # fmt: skip
UNKNOWN, RANGE, UP, DOWN, VOLATILE = range(5)


class RegimeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds of the rules."""

    trend_adx: Annotated[float, Meta(ge=0.0, le=100.0)] = 25.0
    range_adx: Annotated[float, Meta(ge=0.0, le=100.0)] = 20.0
    volatile_ratio: Annotated[float, Meta(gt=1.0, le=20.0)] = 1.8

    def __post_init__(self) -> None:
        if self.range_adx > self.trend_adx:
            raise ValueError(f"range_adx {self.range_adx:g} must not be above trend_adx {self.trend_adx:g}")


class RegimeColumns(NamedTuple):
    """A code (an index of the regimes) and a confidence a row, and the figures behind them."""

    code: Integers
    confidence: Floats
    figures: dict[str, Floats]


class Regime:
    """The rule."""

    wants: tuple[Want, ...] = (
        want("adx", "adx", period=_PERIOD),
        want("atr", "atr", period=_PERIOD),
        want("atr_long", "atr", period=_LONG_PERIOD),
    )

    def __init__(self, settings: RegimeSettings) -> None:
        self.settings = settings

    def __call__(self, figures: Figures, before: Integers | None = None) -> tuple[RegimeColumns, Integers]:
        """Read every row by itself, keeping a trend where ADX lies between the thresholds.

        Rows are one symbol's bars, each kept by the row above; or, with `before` (what the last call gave, zeros at
        first), one bar of many symbols, each kept by its own. Also gives the sides to keep.
        """
        asked = self.settings
        adx, plus, minus = figures["adx"], figures["adx.plus_di"], figures["adx.minus_di"]
        ratio = _ratio(figures["atr"], figures["atr_long"])
        known = np.isfinite(adx) & np.isfinite(ratio)
        trending = _kept(np.where(adx >= asked.trend_adx, 1, np.where(adx < asked.range_adx, -1, 0)), known, before, 0)
        side = _kept(np.where(plus > minus, 1, np.where(plus < minus, -1, 0)), known, before, 1)
        code = np.where(trending > 0, np.where(side >= 0, UP, DOWN), RANGE)
        code = np.where(ratio >= asked.volatile_ratio, VOLATILE, code)
        code = np.where(known, code, UNKNOWN)
        confidence = np.select(
            [code == UNKNOWN, code == RANGE, code == VOLATILE],
            [0.0, 1.0 - adx / (2.0 * max(asked.trend_adx, 1e-9)), ratio / (2.0 * asked.volatile_ratio)],
            adx / (2.0 * max(asked.trend_adx, 1e-9)),
        )
        said = {"adx": adx, "plus_di": plus, "minus_di": minus, "volatility_ratio": ratio}
        return RegimeColumns(code, np.clip(confidence, 0.0, 1.0), said), np.stack([trending, side])

    def row(self, columns: RegimeColumns, at: int, **identity: Any) -> RegimeReading | None:
        """Say one row as a message; None while it is unknown."""
        code = columns.code.item(at)
        if code == UNKNOWN:
            return None
        return RegimeReading(
            regime=_NAMES[code],
            confidence=columns.confidence.item(at),
            figures={name: column.item(at) for name, column in columns.figures.items()},
            version=VERSION,
            **identity,
        )


def _ratio(short: Floats, long: Floats) -> Floats:
    """How much wider bars are than usual; 1 where nothing ever moved."""
    ratio = np.where(long > 0.0, short / np.where(long > 0.0, long, 1.0), 1.0)
    return np.where(np.isfinite(short) & np.isfinite(long), ratio, np.nan)


def _kept(said: Integers, known: np.ndarray[Any, np.dtype[np.bool_]], before: Integers | None, row: int) -> Integers:
    """Fill rows that say nothing (0, or not known) with what was said last."""
    said = np.where(known, said, 0)
    if before is not None:
        return np.where(said != 0, said, before[row])
    last = np.maximum.accumulate(np.where(said != 0, np.arange(said.size), -1)) if said.size else said
    return np.where(last >= 0, said[last], 0) if said.size else said
