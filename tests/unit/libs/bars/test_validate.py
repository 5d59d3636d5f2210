"""C1: what may never become a tick, and what only looks strange."""

from __future__ import annotations

import math

import pytest

from libs.bars import Reason, TickValidator
from libs.contracts import Tick
from libs.core.clock import US_PER_DAY, US_PER_SECOND
from tests.kit.market import DAY, session

OPEN = session().open_us
NOW = OPEN + 60 * US_PER_SECOND


def validator(**settings):
    made = TickValidator(known={"ACC", "TCS"}.__contains__, day=DAY, **settings)
    assert made.check(quote(), NOW) is None
    return made


def quote(price=100.0, at_us=NOW, symbol="ACC", **figures):
    return Tick(symbol, at_us, price, **figures)


@pytest.mark.parametrize(
    ("tick", "reason"),
    [
        (quote(math.nan), Reason.NOT_FINITE),
        (quote(math.inf), Reason.NOT_FINITE),
        (quote(bid=math.nan), Reason.NOT_FINITE),
        (quote(ask=-math.inf), Reason.NOT_FINITE),
        (quote(0.0), Reason.NOT_POSITIVE),
        (quote(-1.0), Reason.NOT_POSITIVE),
        (quote(bid=-0.05), Reason.NOT_POSITIVE),
        (quote(volume_day=-1), Reason.NEGATIVE_VOLUME),
        (quote(volume_day=2**62), Reason.ABSURD_VOLUME),
        (quote(125.1), Reason.JUMP),
        (quote(74.9), Reason.JUMP),
        (quote(at_us=NOW + 6 * US_PER_SECOND), Reason.FUTURE),
        (quote(at_us=NOW + 3 * US_PER_DAY), Reason.FUTURE),
        (quote(at_us=NOW - US_PER_DAY), Reason.OTHER_DAY),
        (quote(symbol="NOBODY"), Reason.UNKNOWN_INSTRUMENT),
        (quote(math.nan, symbol="TCS"), Reason.NOT_FINITE),
    ],
)
def test_quarantine(tick, reason):
    """With its figures, counted, and without a trace in what the next tick is measured by."""
    checks = validator()
    found = checks.check(tick, NOW)

    assert found is not None
    assert found.reason is reason
    assert found.tick is tick
    assert found.detail
    assert checks.counts == {reason: 1}
    assert checks.check(quote(101.0), NOW) is None


@pytest.mark.parametrize(
    "tick",
    [
        quote(124.9),
        quote(75.1),
        quote(bid=0.0, ask=0.0),  # nobody bids at a circuit limit
        quote(at_us=NOW + 4 * US_PER_SECOND),
        quote(5_000.0, symbol="TCS"),  # its first price has nothing to jump from
    ],
)
def test_strange_but_right(tick):
    checks = validator()

    assert checks.check(tick, NOW) is None
    assert not checks.counts


def test_a_jump_that_stays_is_the_market():
    checks = validator(jump_repeats=3)
    found = [checks.check(quote(price), NOW) for price in (200.0, 201.0, 199.0, 200.0, 201.0)]

    assert [f is None for f in found] == [False, False, False, True, True]


def test_strays_are_never_believed_one_by_one():
    checks = validator(jump_repeats=3)
    for _ in range(10):
        assert checks.check(quote(200.0), NOW).reason is Reason.JUMP
        assert checks.check(quote(100.0), NOW) is None


def test_yesterdays_trade_time_is_right_until_a_symbol_trades_today():
    checks = validator()
    yesterday = quote(50.0, at_us=NOW - US_PER_DAY, symbol="TCS")

    assert checks.check(yesterday, NOW) is None
    assert checks.check(quote(50.0, symbol="TCS"), NOW) is None
    assert checks.check(yesterday, NOW).reason is Reason.OTHER_DAY


def test_a_tick_of_tomorrow_is_of_another_day_even_when_the_clock_agrees():
    """The session's clock ran past midnight and the day was not begun anew."""
    checks = validator()

    assert checks.check(quote(at_us=NOW + US_PER_DAY), NOW + US_PER_DAY).reason is Reason.OTHER_DAY


def test_a_new_day_measures_the_opening_gap():
    checks = validator()
    checks.start_day(DAY.replace(day=3))

    assert checks.check(quote(150.0, at_us=NOW + US_PER_DAY), NOW + US_PER_DAY).reason is Reason.JUMP
    assert checks.check(quote(90.0, at_us=NOW + US_PER_DAY), NOW + US_PER_DAY) is None
