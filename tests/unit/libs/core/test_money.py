"""Money is exact: nothing is gained or lost between a price and the paise in the store."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core import money
from libs.core.errors import Refused
from libs.core.money import Rounding, round_to_tick, value_paise

TICKS = st.sampled_from([0.01, 0.05, 0.0025, 0.1, 0.5, 1.0, 5.0])
PRICES = st.integers(0, 10**9).map(lambda units: units / 10_000)
MODES = {Rounding.NEAREST: ROUND_HALF_UP, Rounding.UP: ROUND_CEILING, Rounding.DOWN: ROUND_FLOOR}


@given(PRICES, st.integers(-(10**7), 10**7))
def test_value_is_the_decimal_product(price, quantity):
    """A float price counts as the decimal it reads as, never as its binary neighbour."""
    exact = Decimal(repr(price)) * quantity * 100

    assert value_paise(price, quantity) == int(exact.to_integral_value(ROUND_HALF_UP))


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**12))
def test_division_goes_to_the_nearest(numerator, denominator):
    quotient = money.divide(numerator, denominator)
    error = Fraction(numerator, denominator) - quotient

    assert abs(error) <= Fraction(1, 2)
    assert abs(error) != Fraction(1, 2) or abs(quotient) > abs(Fraction(numerator, denominator))


@given(st.integers(0, 10**7), TICKS, st.sampled_from(list(Rounding)))
def test_a_price_on_the_grid_stays(count, tick, mode):
    """Rounding what is already an exchange price changes nothing, in any direction, twice as little as once."""
    price = float(count * Decimal(repr(tick)))

    assert round_to_tick(price, tick, mode) == price
    assert money.price_units(price) == count * Decimal(repr(tick)) * 10_000


@given(st.floats(0, 10**6), TICKS, st.sampled_from(list(Rounding)))
def test_rounding_gives_the_multiple_asked_for(price, tick, mode):
    rounded = Decimal(repr(round_to_tick(price, tick, mode)))
    count = Decimal(repr(price)) / Decimal(repr(tick))

    assert rounded % Decimal(repr(tick)) == 0
    assert abs(rounded / Decimal(repr(tick)) - count.to_integral_value(MODES[mode])) <= (
        1 if abs(count - round(count)) <= Decimal("1e-6") else 0
    )


@pytest.mark.parametrize(
    ("price", "tick", "mode", "expected"),
    [
        (100.03, 0.05, Rounding.NEAREST, 100.05),
        (100.025, 0.05, Rounding.NEAREST, 100.05),
        (100.01, 0.05, Rounding.UP, 100.05),
        (100.04, 0.05, Rounding.DOWN, 100.0),
        (100.05000000000001, 0.05, Rounding.UP, 100.05),
        (83.12374, 0.0025, Rounding.NEAREST, 83.1225),
    ],
)
def test_known_roundings(price, tick, mode, expected):
    assert round_to_tick(price, tick, mode) == expected


@pytest.mark.parametrize("price", [float("nan"), float("inf"), 100.00001])
def test_what_is_no_price_is_refused(price):
    with pytest.raises(Refused):
        value_paise(price, 1)


def test_rupees_and_paise_round_trip():
    assert money.to_paise(money.rupees(-12_345)) == -12_345
    assert str(money.rupees(500)) == "5.00"
    with pytest.raises(Refused, match="whole number of paise"):
        money.to_paise("0.005")


def test_percentages_of_a_circular_are_exact():
    assert money.rate(10**9, money.percent_to_parts("0.00297")) == 29_700
    with pytest.raises(Refused):
        money.percent_to_parts("0.00000001")
