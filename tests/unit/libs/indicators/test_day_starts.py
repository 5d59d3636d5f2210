"""The first rows of days are where the exchange's date changes."""

from __future__ import annotations

import numpy as np

from libs.core.clock import US_PER_DAY, US_PER_MINUTE
from libs.indicators.columns import day_starts, session_days


def test_days_begin_where_the_date_changes():
    """Also at midnight itself, over days without a bar, and where there is none at all."""
    for seed in range(50):
        chance = np.random.default_rng(seed)
        days = chance.choice(20_000, 40, replace=False) * US_PER_DAY - 330 * US_PER_MINUTE
        stamps = np.unique(days[:, None] + chance.integers(0, 3, (40, 5)) * (US_PER_DAY // 2 - 1))
        expected = np.flatnonzero(np.diff(session_days(stamps), prepend=-1))

        assert day_starts(stamps).tolist() == expected.tolist(), f"seed {seed}"
        assert day_starts(stamps[:1]).tolist() == [0]
    assert day_starts(np.empty(0, np.int64)).tolist() == []
