"""E3: whatever a user writes as a condition is understood or refused with a reason; nothing of it is ever run."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libs.core.clock import US_PER_MINUTE
from libs.indicators import registry
from libs.scanners.expression import BadExpression, Expression
from libs.scanners.panel import Panel

BARS = 40
CLOSE = 100.0 + np.cumsum(np.random.default_rng(4).normal(0.0, 0.4, (3, BARS)), axis=1)
CLOSE[1, 5:9] = np.nan
PANEL = Panel(
    ("ACC", "BEL", "DLF"), 1_770_003_900_000_000 + US_PER_MINUTE * np.arange(BARS), CLOSE, CLOSE + 0.3, CLOSE - 0.2,
    CLOSE, np.full(CLOSE.shape, 50.0),
)  # fmt: skip

#: Words of the language, of Python, and of those who try doors.
WORDS = st.sampled_from(
    [
        *("close", "open", "volume", "crosses_above", "and", "or", "not", "if", "in", "is", "lambda", "else", "for"),
        *("await", "yield", "None", "True", "...", "__import__", "__class__", "__builtins__", "eval", "1_0"),
        *("(", ")", "[", "]", "{", "}", ",", ".", ":", ":=", "=", "==", "!=", "<", ">", ">=", "+", "-", "*", "**"),
        *("%", "@", "&", "|", "~", "'", '"', "#", ";", "\\", "\n", "\t", "\x00", "\ud800", "\uff43lose", "\u0663"),
        *("0", "1", "2", "14", "501", "-1", "1e999", "0x1f", "1j", "9" * 30, ".upper", ".signal", ".value", "period="),
        *registry.INDICATORS,
    ]
)  # fmt: skip
NUMBERS = st.sampled_from(
    ["close", "volume", "close[1]", "sma(5)", "ema(3)[2]", "rsi(4)", "macd().signal", "vwap()", "2", "0", "-close"]
)


def joined(words: list[str], inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(inner, st.sampled_from(words), inner).map("({0[0]} {0[1]} {0[2]})".format)


ARITHMETIC = st.recursive(NUMBERS, lambda inner: joined(["+", "-", "*", "/"], inner), max_leaves=4)
CROSSES = st.tuples(st.sampled_from(["crosses_above", "crosses_below"]), ARITHMETIC, ARITHMETIC)
COMPARISONS = joined([">", "<=", "==", "!="], ARITHMETIC) | CROSSES.map("{0[0]}({0[1]}, {0[2]})".format)
CONDITIONS = st.recursive(
    COMPARISONS, lambda inner: inner.map("not ({})".format) | joined(["and", "or"], inner), max_leaves=4
)
DOORS = {"exec", "import", "open", "os", "subprocess"}
watched = threading.local()


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if getattr(watched, "is_on", False) and event.partition(".")[0] in DOORS:
        raise AssertionError(f"it was run: {event} {arguments}")


@pytest.fixture(scope="module", autouse=True)
def _hooked():
    """Whoever runs what was written is heard of by the interpreter; hooks stay for good, so it is off but for here."""
    for name in registry.INDICATORS:
        registry.describe(name)  # imports its family
    sys.addaudithook(watch)


@contextmanager
def nothing_is_run():
    watched.is_on = True
    try:
        yield
    finally:
        watched.is_on = False


def test_the_watch_hears_what_is_run():
    with pytest.raises(AssertionError, match="it was run: exec"), nothing_is_run():
        eval("1 > 0")  # noqa: S307 - that is what is to be heard


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # Python's advice on what is refused anyway
@settings(max_examples=200)
@given(
    st.one_of(
        st.text(max_size=60), st.lists(WORDS, max_size=14).map(" ".join), st.lists(WORDS, max_size=14).map("".join)
    )
)
@example("(" * 200 + ")" * 200)
@example("not " * 120 + "close > 1")
@example("-" * 490 + "1 > 0")
@example("close" + "[1]" * 150 + " > 1")
@example("sma(" * 90 + "1" + ")" * 90 + " > 1")
@example("sma(period=1e999) > 1")
@example("close > " + "9" * 480)
@example("a\x00b")
@example("1 > \ud800")
def test_it_is_understood_or_refused_with_a_reason(text):
    """No other error, however it is written; and what is understood says yes or no of every symbol."""
    with suppress(BadExpression), nothing_is_run():
        assert Expression(text).newest(PANEL).shape == (3,)


@settings(max_examples=60)
@given(CONDITIONS)
def test_of_a_market_it_says_what_it_says_of_each_symbol(text):
    """What is built by the grammar is understood."""
    expression = Expression(text)
    alone = PANEL.each(lambda columns: float(expression.holds_now(columns)))

    assert expression.newest(PANEL).tolist() == (alone == 1.0).tolist()
    assert expression.bars_needed >= 1
