"""A sweep from its grid to its results: finished points are skipped, the others are run where they are told to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from libs.core.ids import content_id
from libs.dbaccess.layout import Layout
from libs.settings import Settings
from libs.strategies import registry
from services.backtest.request import RunRequest
from services.backtest.sweep.grid import Grid
from services.backtest.sweep.point import Plan, by_warmup, point_key, warmup_of
from services.backtest.sweep.results import SUFFIX, SweepHead, SweepResults
from services.backtest.sweep.workers import Workers

#: Told after each point: how many are finished, how many there are, what was finished last.
Tell = Callable[[int, int, str], None]


def sweep_head(kind: str, request: RunRequest, spec: dict[str, Any], refused: int = 0) -> SweepHead:
    """Say what a sweep is; the parameters of its request are those that stay the same."""
    head = SweepHead(
        kind=kind,
        strategy=request.strategy,
        strategy_version=str(registry.find(request.strategy).version),
        request=msgspec.to_builtins(request),
        spec=spec,
        refused=refused,
    )
    # As it is read back, so that the two compare equal: a tuple is a list there.
    return msgspec.json.decode(msgspec.json.encode(head), type=SweepHead)


def default_path(data_root: Path | str, head: SweepHead) -> Path:
    """Give the file the same command finds again."""
    text = msgspec.json.encode(head, order="sorted").decode()
    return Layout(data_root).runs.parent / "sweeps" / f"{head.kind}_{head.strategy}_{content_id(text)[:10]}{SUFFIX}"


def run_sweep(
    settings: Settings, data_root: str, request: RunRequest, grid: Grid, results: SweepResults, workers: Workers,
    tell: Tell = lambda _done, _total, _what: None,
) -> SweepResults:  # fmt: skip
    """Run the points of a grid that are not in the results yet."""
    plan = Plan(data_root, settings, request, warmup_of(data_root, request, grid.points))
    total = len(grid.points)
    missing = [point for point in grid.points if f"-1:-1:{point_key(point)}" not in results]
    done = total - len(missing)
    tell(done, total, f"{done} were finished before" if done else "")
    for result in workers(plan, by_warmup(data_root, request, missing)):
        results.add(result)
        done += 1
        tell(done, total, " ".join(f"{name}={result.parameters[name]}" for name in grid.axes))
    return results
