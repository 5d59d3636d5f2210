"""Each pattern on candles drawn by hand; TA-Lib sees the same ones."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from libs.analytics.candles import PATTERNS, WINDOW
from libs.analytics.patterns import detect

#: Fifteen quiet bars, then the pattern: open, high, low, close.
DOWN = [(130 - i, 130.6 - i, 128.4 - i, 129 - i) for i in range(15)]
UP = [(100 + i, 101.6 + i, 99.4 + i, 101 + i) for i in range(15)]
#: Name: trend before, candles, TA-Lib's function and sign (none: it has no such pattern or wants a real gap).
DRAWN = {
    "doji": (UP, [(115, 117, 113, 115.05)], talib.CDLDOJI, 1),
    "inside_bar": (UP, [(115, 119, 112, 118), (116, 117, 115, 116.5)], None, 0),
    "white_marubozu": (UP, [(115, 120, 115, 120)], talib.CDLMARUBOZU, 1),
    "black_marubozu": (UP, [(115, 115, 110, 110)], talib.CDLMARUBOZU, -1),
    "hammer": (DOWN, [(112.8, 113.2, 109, 113.15)], talib.CDLHAMMER, 1),
    "hanging_man": (UP, [(116.8, 117.2, 113, 117.15)], talib.CDLHANGINGMAN, -1),
    "inverted_hammer": (DOWN, [(113.0, 117.5, 112.95, 113.4)], talib.CDLINVERTEDHAMMER, 1),
    "shooting_star": (UP, [(116.9, 121.0, 116.45, 116.5)], talib.CDLSHOOTINGSTAR, -1),
    "bullish_engulfing": (DOWN, [(115, 115.2, 113.8, 114), (113.5, 116.2, 113.4, 116)], talib.CDLENGULFING, 1),
    "bearish_engulfing": (UP, [(115, 116.2, 114.8, 116), (116.5, 116.6, 113.8, 114)], talib.CDLENGULFING, -1),
    "bullish_harami": (DOWN, [(115, 115.2, 110.8, 111), (112, 113.2, 111.9, 113)], talib.CDLHARAMI, 1),
    "bearish_harami": (UP, [(115, 119.2, 114.8, 119), (118, 118.1, 116.8, 117)], talib.CDLHARAMI, -1),
    "piercing_line": (DOWN, [(115, 115.2, 110.8, 111), (110, 114.2, 109.9, 114)], talib.CDLPIERCING, 1),
    "dark_cloud_cover": (UP, [(115, 119.2, 114.8, 119), (120, 120.1, 115.8, 116)], talib.CDLDARKCLOUDCOVER, -1),
    "morning_star": (
        DOWN, [(115, 115.2, 110.8, 111), (110, 110.3, 109.6, 110.2), (110.5, 114.2, 110.4, 114)],
        talib.CDLMORNINGSTAR, 1,
    ),
    "evening_star": (
        UP, [(115, 119.2, 114.8, 119), (120, 120.4, 119.8, 120.2), (119.5, 119.6, 115.8, 116)],
        talib.CDLEVENINGSTAR, -1,
    ),
    "three_white_soldiers": (
        DOWN, [(113, 115.1, 112.9, 115), (114.5, 116.9, 114.4, 116.8), (116.2, 118.7, 116.1, 118.6)],
        talib.CDL3WHITESOLDIERS, 1,
    ),
    "three_black_crows": (
        UP, [(117.6, 117.7, 115.1, 115.2), (115.8, 115.9, 113.4, 113.5), (114, 114.1, 111.9, 112)],
        talib.CDL3BLACKCROWS, -1,
    ),
}  # fmt: skip


def prices(name):
    before, candles, _, _ = DRAWN[name]
    return np.array([*before, *candles], dtype=float).T


def found(name, drawn):
    return detect(drawn)[list(PATTERNS).index(name)]


@pytest.mark.parametrize("name", PATTERNS)
def test_pattern_is_found_where_it_was_drawn(name):
    strengths = found(name, prices(name))

    assert 0.0 < strengths[-1] <= 1.0
    assert not strengths[:-1].any()


@pytest.mark.parametrize("name", [name for name in PATTERNS if DRAWN[name][2]])
def test_talib_sees_the_same(name):
    """TA-Lib is only a reference here: our rules are our own, and the docs state them."""
    _, _, reference, sign = DRAWN[name]

    assert np.sign(reference(*prices(name))[-1]) == sign


@pytest.mark.parametrize(("name", "mirror"), [
    ("hammer", "shooting_star"), ("hanging_man", "inverted_hammer"), ("bullish_engulfing", "bearish_engulfing"),
    ("bullish_harami", "bearish_harami"), ("piercing_line", "dark_cloud_cover"), ("morning_star", "evening_star"),
    ("three_white_soldiers", "three_black_crows"), ("white_marubozu", "black_marubozu"),
])  # fmt: skip
def test_mirror_of_a_market_has_the_mirrored_pattern(name, mirror):
    """Upside down a hammer is a shooting star, of the same strength: no rule favours a side."""
    open_, high, low, close = prices(name)

    upside_down = found(mirror, 250.0 - np.array([open_, low, high, close]))
    assert upside_down[-1] == pytest.approx(found(name, prices(name))[-1], abs=1e-9)


@pytest.mark.parametrize("name", PATTERNS)
def test_scale_of_prices_does_not_matter(name):
    for scale in (0.01, 400.0):
        assert (found(name, prices(name) * scale)[-1] > 0.0) == (found(name, prices(name))[-1] > 0.0)


def test_no_pattern_without_the_bars_it_needs():
    """A hole, a constant price, and too short a past give nothing rather than something wrong."""
    assert not detect(np.full((4, 40), 100.0)).any()
    assert not detect(np.full((4, 40), np.nan)).any()
    assert detect(np.empty((4, 0))).shape == (len(PATTERNS), 0)
    for name in PATTERNS:
        # Two patterns look at nothing but their own one or two bars.
        if name not in {"doji", "inside_bar"}:
            assert not found(name, prices(name)[:, -4:]).any()


def test_nothing_older_than_the_window_is_looked_at():
    """The live form keeps WINDOW bars: what lies before them must change nothing."""
    for name in PATTERNS:
        drawn = prices(name)
        other = drawn.copy()
        other[:, :-WINDOW] = 77.0

        assert found(name, other)[-1] == found(name, drawn)[-1]
