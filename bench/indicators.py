"""Indicators: the vectorised forms beside TA-Lib, and updates a second of the streaming forms.

All of it computes on one core and waits for nothing, so it is measured in CPU time: others on the machine don't count.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import talib

from bench.table import Measure, interleaved, print_measures
from libs.indicators import registry

#: A year of minutes of one symbol, the usual column.
ROWS = 93_750
VECTORISED_MAX = 3.0
STREAMING_MIN = 2e6

Columns = dict[str, Any]

REFERENCES: dict[str, Callable[[Columns], object]] = {
    "sma": lambda c: talib.SMA(c["close"], 20),
    "ema": lambda c: talib.EMA(c["close"], 20),
    "wma": lambda c: talib.WMA(c["close"], 20),
    "rsi": lambda c: talib.RSI(c["close"], 14),
    "macd": lambda c: talib.MACD(c["close"], 12, 26, 9),
    "bollinger": lambda c: talib.BBANDS(c["close"], 20, 2.0, 2.0),
    "atr": lambda c: talib.ATR(c["high"], c["low"], c["close"], 14),
    # ours gives ADX and both directional indicators in one pass
    "adx": lambda c: (
        talib.ADX(c["high"], c["low"], c["close"], 14),
        talib.PLUS_DI(c["high"], c["low"], c["close"], 14),
        talib.MINUS_DI(c["high"], c["low"], c["close"], 14),
    ),
    "stochastic": lambda c: talib.STOCH(c["high"], c["low"], c["close"], 14, 3, 0, 3, 0),
    "cci": lambda c: talib.CCI(c["high"], c["low"], c["close"], 20),
    "mfi": lambda c: talib.MFI(c["high"], c["low"], c["close"], c["volume"], 14),
    "obv": lambda c: talib.OBV(c["close"], c["volume"]),
    "highest": lambda c: talib.MAX(c["close"], 20),
    "donchian": lambda c: (talib.MAX(c["high"], 20), talib.MIN(c["low"], 20), talib.MIDPRICE(c["high"], c["low"], 20)),
    "linear_regression_slope": lambda c: (talib.LINEARREG_SLOPE(c["close"], 14), talib.LINEARREG(c["close"], 14)),
}


def columns() -> Columns:
    """A random walk in minutes."""
    random = np.random.default_rng(1)
    close = 1000.0 + np.cumsum(random.normal(0, 0.5, ROWS))
    spread = random.uniform(0.0, 1.0, (2, ROWS))
    return {
        "high": close + spread[0],
        "low": close - spread[1],
        "close": close,
        "volume": random.integers(1, 5000, ROWS).astype(float),
    }


def vectorised(data: Columns) -> list[Measure]:
    found = []
    for _ in range(3):  # past the rows that are walked, so that all are compiled before they are timed
        for name in REFERENCES:
            registry.compute(name, data)
    for name, reference in REFERENCES.items():
        ours, theirs = interleaved(
            lambda name=name: registry.compute(name, data),
            lambda r=reference: r(data),
            rounds=25,
            clock=time.process_time,
        )
        found.append(
            Measure(
                f"vectorised {name}, {ROWS:,} rows",
                f"{ROWS / ours / 1e6:.0f} M rows/s",
                f"TA-Lib {ROWS / theirs / 1e6:.0f} M rows/s",
                theirs / ours,
                f"at least {1 / VECTORISED_MAX:.2f}x",
                ours <= VECTORISED_MAX * theirs,
            )
        )
    return found


def streaming(data: Columns) -> list[Measure]:
    closes = data["close"].tolist() * 4
    found = []
    for name in ("sma", "ema", "rsi"):

        def run(name: str = name) -> None:
            update = registry.create(name).update
            for value in closes:
                update(value)

        (seconds,) = interleaved(run, rounds=5, clock=time.process_time)
        rate = len(closes) / seconds
        found.append(
            Measure(
                f"streaming {name}", f"{rate / 1e6:.1f} M updates/s", "", None, "at least 2.0 M", rate >= STREAMING_MIN
            )
        )
    return found


def measures() -> list[Measure]:
    data = columns()
    return [*streaming(data), *vectorised(data)]


def main() -> int:
    return 0 if print_measures(measures()) else 1


if __name__ == "__main__":
    sys.exit(main())
