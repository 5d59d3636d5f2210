"""The extremes of stretches are those that going through each would find."""

from __future__ import annotations

import numpy as np
import pytest

from libs.indicators.extremes import Extremes


@pytest.mark.parametrize("scale", [1_000, 1 << 40], ids=["small values", "values beyond 32 bits"])
@pytest.mark.parametrize("rows", [1, 2, 5, 700, 3000])
def test_extremes_of_random_stretches(rows, scale):
    """Of one row and of all, short and longer than the tables go, below zero and above."""
    chance = np.random.default_rng(rows)
    values = chance.integers(-scale, scale, rows)
    starts = np.concatenate([[0, rows - 1, 0], chance.integers(0, rows, 300)])
    lengths = np.minimum(np.concatenate([[rows, 1, 1], chance.integers(1, rows + 1, 300)]), rows - starts)
    expected = [(values[a : a + n].min(), values[a : a + n].max()) for a, n in zip(starts, lengths, strict=True)]

    least, greatest = Extremes(values).of(starts, lengths)

    assert list(zip(least, greatest, strict=True)) == expected
    assert least.dtype == greatest.dtype == np.int64


def test_no_stretch_has_no_extremes():
    none = np.empty(0, dtype=np.int64)

    assert [len(found) for found in Extremes(np.arange(10)).of(none, none)] == [0, 0]
