"""D1: the grammar of topics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.topics import FAMILIES, TERMINATOR, prefix, split, topic
from libs.core.errors import Refused

WORDS = st.text("abcXYZ019_&-", min_size=1, max_size=12)


@given(st.sampled_from(sorted(FAMILIES)), st.lists(WORDS, min_size=3, max_size=3))
def test_a_topic_can_be_taken_apart_again(family, words):
    names = FAMILIES[family][0]
    parts = words[: len(names)]

    assert split(topic(family, *parts)) == (family, dict(zip(names, parts, strict=True)))


def test_terminator_keeps_a_symbol_from_matching_a_longer_one():
    subscription = prefix("candle", "1m", "nse", "REL")

    assert subscription.endswith(TERMINATOR)
    assert not topic("candle", "1m", "nse", "RELIANCE").startswith(subscription)


def test_prefix_of_a_part_matches_only_whole_parts():
    assert topic("candle", "1m", "nse", "TCS").startswith(prefix("candle", "1m"))
    assert not topic("candle", "15m", "nse", "TCS").startswith(prefix("candle", "1"))


def test_last_part_may_hold_a_dot():
    assert split(topic("order", "NIFTY.26FEB")) == ("order", {"symbol": "NIFTY.26FEB"})


@pytest.mark.parametrize("parts", [(), ("a", "b", "c"), ("",), ("x|",), ("x\0",)])
def test_a_topic_that_would_mean_something_else_is_refused(parts):
    with pytest.raises(Refused):
        topic("order", *parts)


@pytest.mark.parametrize("text", ["order.TCS", "nothing.TCS|", "candle.1m|", "|", ""])
def test_what_is_no_topic_is_refused(text):
    with pytest.raises(Refused):
        split(text)
