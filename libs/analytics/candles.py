"""Candlestick shapes and the rules of the patterns, in our own words. Arrays of bars in, the last axis is time.

docs/reference/analytics.md states each rule; a bar that is not there is NaN and makes no pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from libs.contracts.analytics import Direction
from libs.indicators.columns import Floats

Truth = npt.NDArray[np.bool_]
#: Bars whose mean body and range are the usual ones, and bars over which the trend before a pattern is judged.
USUAL_BARS, TREND_BARS = 10, 5
_LONGEST = 3
#: Bars a pattern may look at, the newest included.
WINDOW = _LONGEST + USUAL_BARS


class Candles:
    """Bars, and what the rules ask of them; `back` counts bars before the newest."""

    def __init__(self, open_: Floats, high: Floats, low: Floats, close: Floats) -> None:
        self._of = {"open": open_, "high": high, "low": low, "close": close}
        self._of["body"] = np.abs(close - open_)
        self._of["range"] = high - low
        self._of["top"] = np.maximum(open_, close)
        self._of["bottom"] = np.minimum(open_, close)
        self._usual = {name: _mean_before(self._of[name]) for name in ("body", "range")}

    def get(self, name: str, back: int = 0) -> Floats:
        """Give open, high, low, close, body, range, top or bottom (of the body)."""
        return shifted(self._of[name], back)

    def usual(self, name: str, back: int = 0) -> Floats:
        """Give the mean body or range of the ten bars before that one."""
        return shifted(self._usual[name], back)

    def middle(self, back: int) -> Floats:
        """Give the middle of the body."""
        return (self.get("open", back) + self.get("close", back)) / 2.0

    def upper(self, back: int = 0) -> Floats:
        """Give the upper shadow."""
        return self.get("high", back) - self.get("top", back)

    def lower(self, back: int = 0) -> Floats:
        """Give the lower shadow."""
        return self.get("bottom", back) - self.get("low", back)

    def white(self, back: int = 0) -> Truth:
        """Closed above its open."""
        return self.get("close", back) > self.get("open", back)

    def black(self, back: int = 0) -> Truth:
        """Closed below its open."""
        return self.get("close", back) < self.get("open", back)

    def long(self, back: int = 0) -> Truth:
        """A body above the usual one, and at least half of its bar."""
        body = self.get("body", back)
        return (body > self.usual("body", back)) & (body >= 0.5 * self.get("range", back))

    def small(self, back: int = 0) -> Truth:
        """A body of at most half the usual one."""
        return self.get("body", back) <= 0.5 * self.usual("body", back)

    def rising(self, back: int) -> Truth:
        """Over the five bars before that one the close rose by more than a usual range."""
        return self._moved(back) > self.usual("range", back)

    def falling(self, back: int) -> Truth:
        """The mirror of `rising`."""
        return -self._moved(back) > self.usual("range", back)

    def _moved(self, back: int) -> Floats:
        return self.get("close", back + 1) - self.get("close", back + 1 + TREND_BARS)


class Pattern(NamedTuple):
    """A rule: where it is found, and how clear it is (1: could not be clearer)."""

    direction: Direction
    rule: Callable[[Candles], tuple[Truth, Floats]]


def shifted(values: Floats, back: int) -> Floats:
    """Move values so many bars later; NaN where there is none."""
    if back == 0:
        return values
    moved = np.full_like(values, np.nan)
    moved[..., back:] = values[..., :-back]
    return moved


def _mean_before(values: Floats) -> Floats:
    # Added in a fixed order: the same to the bit whatever the shape of the array.
    total = shifted(values, 1)
    for back in range(2, USUAL_BARS + 1):
        total = total + shifted(values, back)
    return total / USUAL_BARS


def _part(part: Floats, whole: Floats) -> Floats:
    return part / np.where(whole > 0.0, whole, np.inf)


def _doji(c: Candles) -> tuple[Truth, Floats]:
    body, span = c.get("body"), c.get("range")
    return (span > 0.0) & (body <= 0.1 * span), 1.0 - _part(body, 0.1 * span)


def _inside(c: Candles) -> tuple[Truth, Floats]:
    inside = (c.get("high") < c.get("high", 1)) & (c.get("low") > c.get("low", 1))
    return inside, 1.0 - _part(c.get("range"), c.get("range", 1))


def _marubozu(c: Candles, colour: Callable[[int], Truth]) -> tuple[Truth, Floats]:
    span = c.get("range")
    bare = (c.upper() <= 0.05 * span) & (c.lower() <= 0.05 * span)
    return colour(0) & c.long() & bare, _part(c.get("body"), span)


def _tailed(c: Candles, before: Truth, tail: Floats, other: Floats) -> tuple[Truth, Floats]:
    """A small body at one end of the bar, a tail of at least twice the body at the other, after a trend."""
    body, span = c.get("body"), c.get("range")
    found = before & (span >= c.usual("range")) & (3.0 * body <= span) & (tail >= 2.0 * body) & (other <= 0.1 * span)
    return found & (span > 0.0), _part(tail, span)


def _engulfing(c: Candles, colour: Truth, before: Truth) -> tuple[Truth, Floats]:
    around = (c.get("top") >= c.get("top", 1)) & (c.get("bottom") <= c.get("bottom", 1))
    larger = c.get("body") > c.get("body", 1)
    return colour & before & around & larger, 1.0 - _part(c.get("body", 1), c.get("body"))


def _harami(c: Candles, colour: Truth, before: Truth) -> tuple[Truth, Floats]:
    within = (c.get("top") <= c.get("top", 1)) & (c.get("bottom") >= c.get("bottom", 1))
    smaller = c.get("body") <= 0.5 * c.get("body", 1)
    return colour & before & c.long(1) & within & smaller, 1.0 - _part(c.get("body"), c.get("body", 1))


def _piercing(c: Candles) -> tuple[Truth, Floats]:
    close, first_open, first_close = c.get("close"), c.get("open", 1), c.get("close", 1)
    entered = (c.get("open") < first_close) & (close > c.middle(1)) & (close < first_open)
    return c.white() & c.black(1) & c.long(1) & c.long() & entered, _part(close - first_close, first_open - first_close)


def _dark_cloud(c: Candles) -> tuple[Truth, Floats]:
    close, first_open, first_close = c.get("close"), c.get("open", 1), c.get("close", 1)
    entered = (c.get("open") > first_close) & (close < c.middle(1)) & (close > first_open)
    return c.black() & c.white(1) & c.long(1) & c.long() & entered, _part(first_close - close, first_close - first_open)


def _morning_star(c: Candles) -> tuple[Truth, Floats]:
    below = c.get("top", 1) < c.get("close", 2)
    back_up = c.white() & (c.get("close") > c.middle(2))
    recovered = _part(c.get("close") - c.get("close", 2), c.get("open", 2) - c.get("close", 2))
    return c.black(2) & c.long(2) & c.small(1) & below & back_up, recovered


def _evening_star(c: Candles) -> tuple[Truth, Floats]:
    above = c.get("bottom", 1) > c.get("close", 2)
    back_down = c.black() & (c.get("close") < c.middle(2))
    lost = _part(c.get("close", 2) - c.get("close"), c.get("close", 2) - c.get("open", 2))
    return c.white(2) & c.long(2) & c.small(1) & above & back_down, lost


def _three(c: Candles, colour: Callable[[int], Truth], sign: float) -> tuple[Truth, Floats]:
    """Three long bodies one way, each beginning inside the one before and ending near its own extreme."""
    found = colour(0) & colour(1) & colour(2)
    bareness = np.ones_like(c.get("close"))
    for back in range(_LONGEST):
        tail = _part(c.upper(back) if sign > 0.0 else c.lower(back), c.get("range", back))
        found = found & c.long(back) & (tail <= 0.25)
        bareness = np.minimum(bareness, 1.0 - tail)
    for back in range(_LONGEST - 1):
        start = c.get("open", back)
        inside = (start >= c.get("bottom", back + 1)) & (start <= c.get("top", back + 1))
        found = found & inside & (sign * (c.get("close", back) - c.get("close", back + 1)) > 0.0)
    return found, bareness


_UP, _DOWN, _EITHER = Direction.BULLISH, Direction.BEARISH, Direction.NEUTRAL
PATTERNS: dict[str, Pattern] = {
    "doji": Pattern(_EITHER, _doji),
    "inside_bar": Pattern(_EITHER, _inside),
    "white_marubozu": Pattern(_UP, lambda c: _marubozu(c, c.white)),
    "black_marubozu": Pattern(_DOWN, lambda c: _marubozu(c, c.black)),
    "hammer": Pattern(_UP, lambda c: _tailed(c, c.falling(0), c.lower(), c.upper())),
    "hanging_man": Pattern(_DOWN, lambda c: _tailed(c, c.rising(0), c.lower(), c.upper())),
    "inverted_hammer": Pattern(_UP, lambda c: _tailed(c, c.falling(0), c.upper(), c.lower())),
    "shooting_star": Pattern(_DOWN, lambda c: _tailed(c, c.rising(0), c.upper(), c.lower())),
    "bullish_engulfing": Pattern(_UP, lambda c: _engulfing(c, c.white() & c.black(1), c.falling(1))),
    "bearish_engulfing": Pattern(_DOWN, lambda c: _engulfing(c, c.black() & c.white(1), c.rising(1))),
    "bullish_harami": Pattern(_UP, lambda c: _harami(c, c.white() & c.black(1), c.falling(1))),
    "bearish_harami": Pattern(_DOWN, lambda c: _harami(c, c.black() & c.white(1), c.rising(1))),
    "piercing_line": Pattern(_UP, _piercing),
    "dark_cloud_cover": Pattern(_DOWN, _dark_cloud),
    "morning_star": Pattern(_UP, _morning_star),
    "evening_star": Pattern(_DOWN, _evening_star),
    "three_white_soldiers": Pattern(_UP, lambda c: _three(c, c.white, 1.0)),
    "three_black_crows": Pattern(_DOWN, lambda c: _three(c, c.black, -1.0)),
}
