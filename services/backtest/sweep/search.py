"""A seeded search of the parameters, and walk-forward: found on one stretch of days, judged on the next.

A search that is begun again asks for the same trials in the same order; those in its file are not run again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from libs.core.errors import Refused
from libs.dbaccess.calendars import load_calendar
from libs.settings import Settings
from libs.strategies import registry
from libs.strategies.interface import BadParameters, parameters_of, parameters_text
from services.backtest.metrics import return_figures
from services.backtest.request import RunRequest
from services.backtest.sweep.grid import Range
from services.backtest.sweep.judge import ranked
from services.backtest.sweep.point import Plan, PointResult, point_key, warmup_of
from services.backtest.sweep.results import SweepResults
from services.backtest.sweep.sweeping import Tell
from services.backtest.sweep.workers import Workers

REFUSED = "refused"


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """Days to search on, both included, and the days behind them to judge on; none without walk-forward."""

    number: int
    start: date
    end: date
    judged_start: date | None = None
    judged_end: date | None = None


class FoldFound(msgspec.Struct, frozen=True, kw_only=True):
    """The best of a fold where it was found, and what it did where it was not."""

    fold: Fold
    found: PointResult | None
    judged: PointResult | None


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a search goes. `batch` trials are asked for at a time: with another number it is another search."""

    ranges: tuple[Range, ...]
    fixed: dict[str, Any]
    trials: int
    batch: int
    seed: int
    metric: str
    folds: tuple[Fold, ...]


def make_folds(data_root: Path | str, request: RunRequest, count: int, in_sample: int) -> tuple[Fold, ...]:
    """Cut the trading days: a fold searches on `in_sample` times as many days as it is judged on; 0: one, unjudged."""
    if count == 0:
        return (Fold(number=0, start=request.start, end=request.end),)
    days = load_calendar(data_root, request.exchange).trading_days(request.start, request.end)
    length = len(days) // (count + in_sample) if count > 0 and in_sample > 0 else 0
    if length < 1:
        raise Refused(
            f"{len(days)} trading days are too few for {count} folds that search on {in_sample} times as many days as "
            "they are judged on"
        )
    folds = []
    for number in range(count):
        begin, split = number * length, (number + in_sample) * length
        end = split + length if number < count - 1 else len(days)
        folds.append(
            Fold(number=number, start=days[begin], end=days[split - 1], judged_start=days[split],
                 judged_end=days[end - 1])
        )  # fmt: skip
    return tuple(folds)


def run_search(
    settings: Settings, data_root: str, request: RunRequest, search: SearchPlan, results: SweepResults,
    workers: Workers, tell: Tell = lambda _done, _total, _what: None,
) -> list[FoldFound]:  # fmt: skip
    """Search every fold, then judge its best on the days behind it."""
    warmup = warmup_of(data_root, request, _corners(request.strategy, search))
    found = []
    for fold in search.folds:
        plan = Plan(data_root, settings, _between(request, fold.start, fold.end), warmup)
        tried = _search_fold(plan, search, fold, results, workers, tell)
        best = next((each for each in ranked(tried, search.metric) if math.isfinite(each.figure(search.metric))), None)
        judged = None
        if best is not None and fold.judged_start is not None and fold.judged_end is not None:
            behind = Plan(data_root, settings, _between(request, fold.judged_start, fold.judged_end), warmup)
            judged = _finished(behind, [best.parameters], fold.number, [-1], results, workers)[0]
        found.append(FoldFound(fold=fold, found=best, judged=judged))
    return found


def joined_figures(found: Sequence[FoldFound]) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Give the figures of all days searched on, one fold after the other, and of all days judged on: never mixed."""
    searched = [value for each in found if each.found for value in each.found.returns]
    judged = [value for each in found if each.judged for value in each.judged.returns]
    return return_figures(np.array(searched)), return_figures(np.array(judged))


def _search_fold(
    plan: Plan, search: SearchPlan, fold: Fold, results: SweepResults, workers: Workers, tell: Tell
) -> list[PointResult]:
    optuna = _optuna()
    sampler = optuna.samplers.TPESampler(seed=search.seed + fold.number)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    tried: list[PointResult] = []
    while len(tried) < search.trials:
        asked = [study.ask() for _ in range(min(search.batch, search.trials - len(tried)))]
        points = [search.fixed | {each.name: _suggest(trial, each) for each in search.ranges} for trial in asked]
        numbers = list(range(len(tried), len(tried) + len(asked)))
        for trial, result in zip(asked, _finished(plan, points, fold.number, numbers, results, workers), strict=True):
            value = result.figure(search.metric)
            if math.isfinite(value):
                study.tell(trial, value)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            tried.append(result)
        done = fold.number * search.trials + len(tried)
        tell(done, search.trials * len(search.folds), f"fold {fold.number + 1} of {len(search.folds)}")
    return tried


def _finished(
    plan: Plan, points: Sequence[dict[str, Any]], fold: int, numbers: Sequence[int], results: SweepResults,
    workers: Workers,
) -> list[PointResult]:  # fmt: skip
    """Give the results of trials: those in the file, those of equal parameters, and the others once run."""
    known = {each.key: each for each in results.all if each.fold == fold and (each.trial < 0) == (numbers[0] < 0)}
    by_point = {point_key(each.parameters): each for each in known.values()}
    whole = [_complete(plan.request.strategy, point) for point in points]
    missing = {
        point_key(point): point for point, complaint in whole if not complaint and point_key(point) not in by_point
    }
    by_point |= {point_key(each.parameters): each for each in workers(plan, list(missing.values()))}
    found = []
    for (point, complaint), number in zip(whole, numbers, strict=True):
        result = by_point.get(point_key(point)) or PointResult(parameters=point, state=REFUSED, error=complaint)
        result = msgspec.structs.replace(result, fold=fold, trial=number)
        if result.key not in known:
            results.add(result)
        found.append(result)
    return found


def _complete(strategy: str, point: dict[str, Any]) -> tuple[dict[str, Any], str]:
    try:
        parameters = parameters_of(registry.find(strategy), point)
    except BadParameters as e:
        return point, str(e)
    return msgspec.json.decode(parameters_text(parameters)), ""


def _corners(strategy: str, search: SearchPlan) -> tuple[dict[str, Any], ...]:
    """Give the extremes of the space that the strategy takes: what needs most warm-up is among them."""
    ends = [each.choices or ((int if each.is_whole else float)(each.low), (int if each.is_whole else float)(each.high))
            for each in search.ranges]  # fmt: skip
    names = [each.name for each in search.ranges]
    tried = (_complete(strategy, search.fixed | dict(zip(names, values, strict=True))) for values in product(*ends))
    taken = tuple(point for point, complaint in tried if not complaint)
    if not taken:
        raise Refused("the strategy takes none of the corners of the space; see `fleet strategies` for its ranges")
    return taken


def _suggest(trial: Any, parameter: Range) -> Any:
    if parameter.choices:
        return trial.suggest_categorical(parameter.name, list(parameter.choices))
    if parameter.is_whole:
        return trial.suggest_int(parameter.name, int(parameter.low), int(parameter.high))
    return trial.suggest_float(parameter.name, parameter.low, parameter.high)


def _between(request: RunRequest, start: date, end: date) -> RunRequest:
    return msgspec.structs.replace(request, start=start, end=end)


def _optuna() -> Any:
    try:
        optuna: Any = import_module("optuna")
    except ImportError as e:
        raise Refused("optimize needs optuna: `pip install 'tradefleet[optimize]'`") from e
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
