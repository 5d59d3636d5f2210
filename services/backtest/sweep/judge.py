"""What a sweep found: the best point, how good its neighbours are, and how much of it is luck."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from libs.trading.deflation import DeflatedSharpe, deflated_sharpe, effective_trials
from services.backtest.sweep.point import DONE, PointResult


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The best of a sweep. The deflated Sharpe ratio counts every finished point as a trial, and says what remains.

    `trials_alike` counts trials that trade alike as fewer; `strict` counts each as a trial of its own.
    """

    metric: str
    points: int
    failed: int
    forms: dict[str, int]
    best: PointResult | None
    strict: DeflatedSharpe | None
    trials_alike: DeflatedSharpe | None


def ranked(results: Sequence[PointResult], metric: str) -> list[PointResult]:
    """Give the finished points, best first; those without the figure last. Ties stand in the order of parameters."""
    done = [result for result in results if result.state == DONE]
    return sorted(done, key=lambda result: (-result.figure(metric), result.key))


def judge(results: Sequence[PointResult], metric: str) -> Verdict:
    """Find the best and deflate it."""
    order = ranked(results, metric)
    best = order[0] if order and math.isfinite(order[0].figure(metric)) else None
    strict = alike = None
    if best is not None:
        returns = [np.asarray(result.returns, dtype=np.float64) for result in order]
        tried = list(map(daily_sharpe, returns))
        strict = deflated_sharpe(returns[0], tried)
        alike = deflated_sharpe(returns[0], tried, trials_effective=effective_trials(returns))
    return Verdict(
        metric=metric,
        points=len(results),
        failed=len(results) - len(order),
        forms=dict(Counter(result.form for result in order)),
        best=best,
        strict=strict,
        trials_alike=alike,
    )


def daily_sharpe(returns: npt.ArrayLike) -> float:
    """Give the ratio of a day; NaN where returns never differ."""
    held = np.asarray(returns, dtype=np.float64)
    deviation = float(np.std(held, ddof=1)) if held.size > 1 else 0.0
    return float(held.mean()) / deviation if deviation > 0.0 else math.nan


def heat_map(
    results: Sequence[PointResult], across: str, down: str, metric: str
) -> tuple[list[Any], list[Any], dict[tuple[Any, Any], PointResult]]:
    """Give values across, values down, and the best point of each cell over all other parameters."""
    cells: dict[tuple[Any, Any], PointResult] = {}
    for result in reversed(ranked(results, metric)):
        cells[result.parameters[across], result.parameters.get(down)] = result
    return _values(cells, 0), _values(cells, 1), cells


def _values(cells: dict[tuple[Any, Any], PointResult], place: int) -> list[Any]:
    found = dict.fromkeys(cell[place] for cell in cells)
    numbers = all(isinstance(each, (int, float)) for each in found)
    return sorted(found) if numbers else sorted(found, key=str)
