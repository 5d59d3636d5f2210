"""Random columns for indicators, and a way to run a streaming form over them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

import numpy as np

from libs.core.clock import US_PER_DAY, US_PER_MINUTE, day_start_us
from libs.indicators import registry
from libs.indicators.base import Indicator
from tests.kit.regimes import OPEN_MINUTE, market

COLUMNS = ("timestamp_us", "open", "high", "low", "close", "volume")


class Bar(NamedTuple):
    timestamp_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def columns_of_market(*, days: int = 2, seed: int = 1) -> dict[str, np.ndarray]:
    bars = market(("ALFA",), days=days, seed=seed)
    return {
        name: np.array([getattr(bar, name) for bar in bars], dtype=np.int64 if name == "timestamp_us" else float)
        for name in COLUMNS
    }


def random_columns(
    seed: int, *, size: int, scale: float = 100.0, missing: float = 0.0, flat: float = 0.0, per_day: int = 40
) -> dict[str, np.ndarray]:
    """Columns over several dates; a share of values missing in any column, a share of bars equal to the one before."""
    chance = random.Random(seed)
    rows: list[list[float]] = []
    price = scale
    start_us = day_start_us(date(2026, 2, 2)) + OPEN_MINUTE * US_PER_MINUTE
    for i in range(size):
        stamp = start_us + i // per_day * US_PER_DAY + i % per_day * US_PER_MINUTE
        if chance.random() < flat:
            rows.append([stamp, price, price, price, price, 0.0 if chance.random() < 0.5 else 100.0])
            continue
        prices = [price * (1 + chance.gauss(0, 0.01)) for _ in range(4)]
        price = prices[-1]
        row = [stamp, prices[0], max(prices), min(prices), price, float(chance.randint(0, 1000))]
        for at in range(1, 6):
            if chance.random() < missing:
                row[at] = chance.choice([np.nan, np.nan, np.inf, -np.inf])
        rows.append(row)
    table = list(zip(*rows, strict=True)) or [()] * 6
    return {
        name: np.array(column, dtype=np.int64 if name == "timestamp_us" else float)
        for name, column in zip(COLUMNS, table, strict=True)
    }


def stream(indicator: Indicator, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Feed every row; a skipped row gives NaN in every output."""
    alone = indicator.inputs[0] if len(indicator.inputs) == 1 else None
    out: dict[str, list[float]] = {name: [] for name in indicator.outputs}
    for row in zip(*(columns[name].tolist() for name in COLUMNS), strict=True):
        bar = Bar(*row)
        indicator.update(getattr(bar, alone) if alone else bar)
        read = all(np.isfinite(getattr(bar, name)) for name in indicator.inputs)
        for name, values in out.items():
            values.append(getattr(indicator, name) if read else np.nan)
    return {name: np.array(values) for name, values in out.items()}


def random_parameters(name: str, chance: random.Random) -> dict[str, float]:
    """Small parameters within the ranges, so that windows fill and wrap often."""
    chosen: dict[str, float] = {}
    for parameter in registry.describe(name).parameters:
        if parameter.kind == "float":
            chosen[parameter.name] = round(chance.uniform(0.5, 4.0), 2)
        elif parameter.name == "open_minute":
            chosen[parameter.name] = OPEN_MINUTE + chance.randint(-5, 5)
        else:
            chosen[parameter.name] = chance.randint(int(parameter.minimum), 12)
    if name == "macd":
        chosen["slow"] = chosen["fast"] + chance.randint(1, 8)
    return chosen
