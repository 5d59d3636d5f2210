"""Money: integer paise. The one module that decides how prices become money and how money is rounded.

A price is a float that names a decimal of at most four places (every Indian tick size does); `price_units` gives that
decimal exactly, in ten-thousandths of a rupee. Cash, charges and profit are integers of paise everywhere. Where a
fraction of a paisa must go, it goes to the nearest, a half away from zero.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from enum import StrEnum

from libs.core.errors import Refused

PAISE_PER_RUPEE = 100
UNITS_PER_RUPEE = 10_000
UNITS_PER_PAISA = 100
PARTS_PER_BILLION = 1_000_000_000

#: A float this near to a multiple of the tick is that multiple: no rounding up of 100.05 to 100.10 for a last bit.
_TICK_FRACTION_NOISE = Decimal("1e-6")
#: Below this a float has digits enough for four decimals.
_WHOLE_MAX = 1e9


class Rounding(StrEnum):
    """Which multiple of the tick a price becomes."""

    NEAREST = "nearest"
    UP = "up"
    DOWN = "down"


_DECIMAL_ROUNDING = {Rounding.NEAREST: ROUND_HALF_UP, Rounding.UP: ROUND_CEILING, Rounding.DOWN: ROUND_FLOOR}


def price_units(price: float) -> int:
    """Give a price exactly, in ten-thousandths of a rupee; refuse what is no price of an Indian exchange."""
    if not math.isfinite(price):
        raise Refused(f"{price!r} is no price")
    units = round(price * UNITS_PER_RUPEE)
    if units / UNITS_PER_RUPEE != price:
        raise Refused(f"price {price!r} has more than four decimals; round it to the tick first (round_to_tick)")
    return units


def is_price(price: float) -> bool:
    """Tell whether `price_units` takes a price, and it is above zero."""
    return 0 < price < math.inf and round(price * UNITS_PER_RUPEE) / UNITS_PER_RUPEE == price


def value_paise(price: float, quantity: int) -> int:
    """Multiply price and quantity exactly; the sign of the quantity is kept."""
    # `divide(price_units(price) * quantity, UNITS_PER_PAISA)`, without a call for each: profit is worked out by this.
    try:
        units = round(price * UNITS_PER_RUPEE)
    except (ValueError, OverflowError):
        units = 0
    if units / UNITS_PER_RUPEE != price:
        units = price_units(price)  # refuses
    numerator = units * quantity
    if numerator >= 0:
        return (2 * numerator + UNITS_PER_PAISA) // (2 * UNITS_PER_PAISA)
    return -((-2 * numerator + UNITS_PER_PAISA) // (2 * UNITS_PER_PAISA))


def divide(numerator: int, denominator: int) -> int:
    """Divide to the nearest integer, a half away from zero. The denominator is positive."""
    if numerator >= 0:
        return (2 * numerator + denominator) // (2 * denominator)
    return -((-2 * numerator + denominator) // (2 * denominator))


def share(amount_paise: int, part: int, whole: int) -> int:
    """Give the part of an amount that falls on `part` of `whole`; the whole part gives the whole amount."""
    return divide(amount_paise * part, whole)


def rate(amount_paise: int, parts_per_billion: int) -> int:
    """Apply a rate, such as a tax, to an amount."""
    return divide(amount_paise * parts_per_billion, PARTS_PER_BILLION)


def percent_to_parts(percent: str) -> int:
    """Turn the percentage a circular prints ("0.00297") into parts per billion, exactly or not at all."""
    parts = Decimal(percent) * (PARTS_PER_BILLION // 100)
    if parts != parts.to_integral_value() or parts < 0:
        raise Refused(f"{percent!r} % cannot be held exactly in parts per billion, or is negative")
    return int(parts)


def rupees(paise: int) -> Decimal:
    """Give an amount in rupees, exactly, always with two decimals."""
    return Decimal(paise).scaleb(-2)


def to_paise(amount: Decimal | str | int) -> int:
    """Turn rupees into paise; refuse fractions of a paisa, for whoever has those must say how to round."""
    paise = Decimal(amount) * PAISE_PER_RUPEE
    if paise != paise.to_integral_value():
        raise Refused(f"{amount} rupees are no whole number of paise")
    return int(paise)


def round_to_tick(price: float, tick: float, rounding: Rounding = Rounding.NEAREST) -> float:
    """Give the float that names the multiple of the tick nearest to, not below or not above a price.

    The result is exactly what the decimal reads as (100.05, never 100.05000000000001), so that it equals the
    exchange's own price and `price_units` takes it.
    """
    if 0.0 < price < _WHOLE_MAX and 0.0 < tick < _WHOLE_MAX:
        units, tick_units = round(price * UNITS_PER_RUPEE), round(tick * UNITS_PER_RUPEE)
        if units / UNITS_PER_RUPEE == price and tick_units / UNITS_PER_RUPEE == tick and units % tick_units == 0:
            return price  # it is a multiple already, as most are; decimals cost ten times as much
    if not math.isfinite(price) or tick <= 0:
        raise Refused(f"price {price!r} cannot be rounded to a tick of {tick!r}")
    step = Decimal(repr(tick))
    count = Decimal(repr(price)) / step
    nearest = count.to_integral_value(ROUND_HALF_UP)
    if abs(count - nearest) > _TICK_FRACTION_NOISE:
        nearest = count.to_integral_value(_DECIMAL_ROUNDING[rounding])
    return float(nearest * step)
