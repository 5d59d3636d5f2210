"""Names of what a sweep may be judged by, apart from all code that does it: the command line lists them in its help."""

from __future__ import annotations

#: More is better in all of them.
METRICS = ("sharpe", "sortino", "calmar", "return_ratio", "cagr", "profit_paise", "profit_factor", "expectancy_paise",
           "win_rate")  # fmt: skip
