"""Users' expressions: they mean what they say, and nothing in them is ever run."""

from __future__ import annotations

import numpy as np
import pytest

from libs.indicators import registry
from libs.scanners.expression import BadExpression, Expression
from tests.property.indicators.cases import columns_of_market

COLUMNS = columns_of_market(days=1, seed=3)
CLOSE = COLUMNS["close"]


def value(name, output="value", **parameters):
    return registry.compute(name, COLUMNS, **parameters)[output]


def shift(values, bars=1):
    return np.concatenate([np.full(bars, np.nan), values[:-bars]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("close > sma(20)", lambda: value("sma", period=20) < CLOSE),
        ("close > sma(period=20) and rsi(14) < 50", lambda: (value("sma", period=20) < CLOSE) & (value("rsi") < 50)),
        ("not close >= open or volume == 0", lambda: ~(COLUMNS["open"] <= CLOSE) | (COLUMNS["volume"] == 0)),
        ("30 < rsi(14) <= 70", lambda: (value("rsi") > 30) & (value("rsi") <= 70)),
        ("close > bollinger(20, 2).upper", lambda: value("bollinger", "upper") < CLOSE),
        ("macd().histogram > 0", lambda: value("macd", "histogram") > 0),
        ("close > close[3] * (1 + 0.001)", lambda: shift(CLOSE, 3) * 1.001 < CLOSE),
        ("-atr() < -1", lambda: -value("atr") < -1),
        (
            "volume > 2 * sma(volume, 20)",
            lambda: COLUMNS["volume"] > 2 * registry.compute("sma", {"close": COLUMNS["volume"]}, period=20)["value"],
        ),
        (
            "crosses_above(ema(9), ema(21))",
            lambda: (
                (value("ema", period=9) > value("ema", period=21))
                & (shift(value("ema", period=9)) <= shift(value("ema", period=21)))
            ),
        ),
        ("1 > 0", lambda: np.ones(len(CLOSE), dtype=bool)),
    ],
)
def test_expression_means_what_it_says(text, expected):
    found = Expression(text).evaluate(COLUMNS)

    np.testing.assert_array_equal(found, expected())
    assert found.shape == CLOSE.shape
    assert Expression(text).holds_now(COLUMNS) == bool(expected()[-1])


def test_what_is_not_known_does_not_hold():
    """Nor does its opposite: `not close > sma(50)` must not pick every symbol that was listed last week."""
    assert not Expression("not close > sma(50)").evaluate(COLUMNS)[:49].any()
    assert not Expression("not crosses_above(close, sma(50))").evaluate(COLUMNS)[:50].any()
    assert Expression("not close > sma(50)").evaluate(COLUMNS)[49:].any()
    assert Expression("close > 0 or close > sma(50)").evaluate(COLUMNS).all()
    assert not Expression("close < 0 and close > sma(50)").evaluate(COLUMNS).any()
    assert Expression("not (close < 0 and close > sma(50))").evaluate(COLUMNS).all()
    assert not Expression("sma(50) != 5").evaluate(COLUMNS)[:49].any()
    assert not Expression("close / 0 > 1").evaluate(COLUMNS).any()
    assert not Expression("close > 1").holds_now({"close": np.array([])})


def test_bars_needed_is_that_of_the_hungriest_part():
    assert Expression("close > 1").bars_needed == 1
    assert Expression("close > sma(20)[5] and rsi(14) < 30").bars_needed == 25
    assert Expression("crosses_below(macd().signal, 0)").bars_needed == 35


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is no expression"),
        ("close >", "is no expression"),
        ("close", "'close' is a number; expected a condition"),
        ("close > sma(20) + (rsi(14) > 5)", "'rsi(14) > 5' is a condition; expected a number"),
        ("clsoe > 5", "'clsoe' is no column; there are open"),
        ("rsi > 5", "the indicator is written rsi(…)"),
        ("smaa(20) > 5", "calls no indicator; there are sma"),
        ("sma(0) > 5", "period is 0; expected int from 1 to 5000"),
        ("sma(20, 30) > 5", "too many parameters; it takes period"),
        ("sma(length=20) > 5", "no parameter 'length'"),
        ("sma(20, period=30) > 5", "no parameter 'period', or twice"),
        ("sma(close * 2) > 5", "a parameter is a number"),
        ("macd().top > 5", "has no output 'top'; there are macd, signal, histogram"),
        ("close[-1] > 5", "expected bars ago"),
        ("close[501] > 5", "expected bars ago"),
        ("close ** 9 > 5", "there are + - * /"),
        ("close in (1, 2)", "is not understood"),
        ("'a' > 5", "expected a number"),
        ("True", "expected a number"),
        ("close > 1e999", "'1e999' is too large a number"),
        ("close > " + "9" * 400, "is too large a number"),
        ("__import__('os').system('true')", "calls no indicator"),
        ("close.__class__ > 5", "outputs belong to indicators"),
        ("().__class__.__bases__[0]", "is not understood"),
        ("[c for c in close]", "is not understood"),
        ("(lambda: 1)() > 0", "calls no indicator"),
        ("sma(*[20]) > 1", "is not understood"),
        ("sma(**{}) > 1", "no parameter '**'"),
        ("(close := 5) > 1", "is not understood"),
        ("close > 1; import os", "is no expression"),
        (" or ".join(["1>0"] * 60), "more than 150 parts"),
        ("(" * 400 + "close" + ")" * 90, "is no expression"),
        ("close > 1 or " * 60 + "close > 1", "characters; 500 at most"),
    ],
)
def test_what_is_no_expression_is_refused_with_a_reason(text, expected):
    with pytest.raises(BadExpression) as refused:
        Expression(text)

    assert expected in str(refused.value)
