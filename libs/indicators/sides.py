"""Which of two prices is above the other, with room for the last bits that averages lose.

An average's sum slides along, and is off by some last bits; where two averages are truly equal, or a price is equal to
its average, bits would make one of them the higher, and a cross of what only touched.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from libs.indicators.columns import Floats

Sides = npt.NDArray[np.int8]

#: Two prices are equal within this share of them. A sum of 500 prices, the most a strategy averages, is off by at most
#: a thousand roundings, 1.2e-13 of it, and two by twice that. Two averages on a grid of 0.05 that differ do so by 2e-7
#: at least, which is more than this share of any price up to 200,000.
ROUNDING = 1e-12
_ABOVE, _BELOW = 1.0 + ROUNDING, 1.0 - ROUNDING
#: Rows of a column that are worked on together: what is between the steps stays near the core.
_ROWS_AT_A_TIME = 1 << 14


def side_of(upper: float, lower: float) -> int:
    """Give 1 where one price is above the other, -1 where below; 0 where they are equal, or one has no value."""
    # Below 0 the bounds change places: what lies between is then both, and 0 all the same.
    return (upper > lower * _ABOVE) - (upper < lower * _BELOW)


def sides_of(upper: Floats, lower: Floats) -> Sides:
    """Give `side_of` of two columns, row by row."""
    found = np.empty(len(upper), dtype=np.int8)
    bound = np.empty(min(len(upper), _ROWS_AT_A_TIME))
    with np.errstate(invalid="ignore"):
        for start in range(0, len(upper), _ROWS_AT_A_TIME):
            one, other = upper[start : start + _ROWS_AT_A_TIME], lower[start : start + _ROWS_AT_A_TIME]
            limit = bound[: len(one)]
            above = one > np.multiply(other, _ABOVE, out=limit)
            below = one < np.multiply(other, _BELOW, out=limit)
            np.subtract(above.view(np.int8), below.view(np.int8), out=found[start : start + len(one)])
    return found
