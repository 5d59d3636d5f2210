"""F3: every exit, on ticks and on bars alike, never at a better price than the market gave."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.market import OHLCVBar
from libs.trading.exits import ExitReason, ExitRules, on_bar, on_tick, protect
from tests.kit.orders import MINUTE_US, OPEN_US

R = ExitReason


def guard(rules=None, *, is_long=True, price=100.0, **kw):
    return protect(rules or ExitRules(), is_long=is_long, price=price, at_us=OPEN_US, tick_size=0.05, **kw)


def bar(open_, high, low, close, minutes=0):
    return OHLCVBar("ACME", "1m", OPEN_US + minutes * MINUTE_US, open_, high, low, close, 1_000)


BOTH = ExitRules(stop_percent=1, target_percent=2)
CASES = [
    (guard(BOTH), bar(100, 101, 99.5, 100), None, None),
    (guard(BOTH), bar(100, 101, 99, 100), R.STOP, 99.0),
    (guard(BOTH), bar(98, 101, 97, 100), R.STOP, 98.0),
    (guard(BOTH), bar(100, 102, 99.5, 100), R.TARGET, 102.0),
    (guard(BOTH), bar(103, 104, 102, 103), R.TARGET, 103.0),
    (guard(BOTH), bar(100, 103, 98, 100), R.STOP, 99.0),
    (guard(BOTH, is_long=False), bar(100, 101, 99, 100), R.STOP, 101.0),
    (guard(BOTH, is_long=False), bar(102, 103, 97, 100), R.STOP, 102.0),
    (guard(BOTH, is_long=False), bar(100, 100.5, 98, 99), R.TARGET, 98.0),
    (guard(BOTH, stop=97.0, target=105.0), bar(100, 104, 97.05, 100), None, None),
    (guard(BOTH, stop=97.0), bar(100, 101, 97, 100), R.STOP, 97.0),
    (guard(ExitRules(stop_atr=2.0), atr=1.5), bar(100, 101, 97, 100), R.STOP, 97.0),
    (guard(ExitRules(time_min=5)), bar(100, 101, 99, 100, minutes=4), None, None),
    (guard(ExitRules(time_min=5)), bar(100, 101, 99, 100, minutes=5), R.TIME, 100),
    (guard(square_off_us=OPEN_US + MINUTE_US), bar(99, 101, 98, 100, minutes=1), R.SQUARE_OFF, 99),
    (guard(ExitRules(square_off=False), square_off_us=OPEN_US), bar(99, 101, 98, 100, minutes=1), None, None),
    (guard(BOTH, square_off_us=OPEN_US + MINUTE_US), bar(98, 101, 97, 100, minutes=1), R.STOP, 98),
]


@pytest.mark.parametrize(("protection", "candle", "reason", "price"), CASES)
def test_bar_exits(protection, candle, reason, price):
    """A gap through the stop leaves at the open, not at the stop; the stop is judged before the target."""
    _, found = on_bar(protection, candle)

    assert (found and found.reason, found and found.price) == (reason, price)


def test_trailing_stop_follows_and_never_falls_back():
    protection = guard(ExitRules(trail_percent=1))
    assert protection.stop == 99.0

    protection, found = on_bar(protection, bar(100, 103, 99.5, 102))
    assert (found, protection.stop) == (None, 102.0)
    protection, found = on_bar(protection, bar(102.5, 102.8, 102.05, 102.2, minutes=1))
    assert (found, protection.stop) == (None, 102.0)
    _, found = on_bar(protection, bar(102.2, 102.5, 101.0, 101.5, minutes=2))
    assert (found.reason, found.price) == (R.TRAILING_STOP, 102.0)


def test_trailing_stop_of_a_bar_does_not_act_within_it():
    """The bar does not say whether the high came before the low; a stop raised by its high must not use its low."""
    _, found = on_bar(guard(ExitRules(trail_percent=1)), bar(100, 110, 99.5, 100))

    assert found is None


def test_entry_within_a_bar_counts_only_its_stop():
    protection = guard(BOTH)
    assert on_bar(protection, bar(104, 110, 99.5, 100), is_filled_inside=True)[1] is None

    assert on_bar(protection, bar(104, 110, 98.5, 100), is_filled_inside=True)[1].price == 99.0


def test_tick_beyond_the_stop_leaves_at_the_tick():
    _, found = on_tick(guard(BOTH), 97.3, OPEN_US + 1)

    assert (found.reason, found.price) == (R.STOP, 97.3)


@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("is_long", [True, False])
def test_ticks_and_flat_bars_decide_alike(seed, is_long):
    """The same evaluation: bars that hold one price each leave where the ticks leave."""
    rng = random.Random(seed)
    rules = ExitRules(stop_percent=0.5, target_percent=0.8, trail_percent=0.6, time_min=rng.choice([0, 30]))
    by_tick = by_bar = guard(rules, is_long=is_long, square_off_us=OPEN_US + 50 * MINUTE_US)
    price = 100.0
    for minute in range(1, 60):
        price = round(price + rng.randint(-6, 6) * 0.05, 2)
        by_tick, left = on_tick(by_tick, price, OPEN_US + minute * MINUTE_US)
        by_bar, left_bar = on_bar(by_bar, bar(price, price, price, price, minutes=minute))
        assert (left and left[:2]) == (left_bar and left_bar[:2]), f"seed {seed}"
        if left:
            return
        assert by_tick == by_bar, f"seed {seed}"
    raise AssertionError(f"seed {seed}: never squared off")


STEPS = st.integers(1_000, 4_000).map(lambda n: n * 5 / 100)


@given(st.lists(STEPS, min_size=4, max_size=4), st.booleans(), STEPS, STEPS)
def test_exit_prices_were_there(prices, is_long, stop, target):
    """An exit price lies within the bar, a stop is never filled better than its level, a target never worse."""
    first, *_, last = prices
    candle = bar(first, max(prices), min(prices), last)
    _, found = on_bar(guard(is_long=is_long, stop=stop, target=target), candle)
    if found is None:
        assert candle.low > stop if is_long else candle.high < stop
        return
    assert candle.low <= found.price <= candle.high
    level, is_stop = (stop, True) if found.reason is R.STOP else (target, False)
    assert (found.price <= level) if is_stop == is_long else (found.price >= level)
