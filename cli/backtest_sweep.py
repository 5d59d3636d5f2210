"""`fleet backtest sweep`: every point of a grid, on all cores or a cluster, into one file that can be gone on with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cli.backtest_words import pairs, request_of, stores, wanted_bars
from cli.exits import FAILED, OK, reading_words
from cli.output import print_json, print_table
from cli.progress import progress
from services.backtest.collection import without_walks

if TYPE_CHECKING:
    from libs.settings import Settings
    from services.backtest.bars import BarsSource
    from services.backtest.sweep.point import PointResult
    from services.backtest.sweep.results import SweepResults
    from services.backtest.sweep.workers import Workers

_FIGURES = (("sharpe", "SHARPE"), ("return_ratio", "RETURN"), ("drawdown_max_ratio", "FALL"), ("trades", "TRADES"))
_PERCENT = {"return_ratio", "drawdown_max_ratio", "win_rate", "cagr"}


def sweep(options: argparse.Namespace) -> int:
    """Run the grid, write the heat map, print the best."""
    with without_walks() as collect_what_comes:
        settings, data_root = stores(options)
        if options.cluster:
            return _sweep(options, settings, data_root, None, collect_what_comes)
        from services.backtest.bars import DAYS_AT_ONCE_SWEEP
        from services.backtest.bars_apart import begin_to_read_apart

        wanted = wanted_bars(options, settings)
        with begin_to_read_apart(settings, data_root, wanted, days_at_once=DAYS_AT_ONCE_SWEEP) as bars:
            return _sweep(options, settings, data_root, bars, collect_what_comes)


def _sweep(
    options: argparse.Namespace, settings: Settings, data_root: str, bars: BarsSource | None,
    collect_what_comes: Callable[[], None],
) -> int:  # fmt: skip
    from services.backtest.sweep.grid import make_grid
    from services.backtest.sweep.judge import judge, ranked
    from services.backtest.sweep.report import render_sweep
    from services.backtest.sweep.results import SweepResults
    from services.backtest.sweep.sweeping import default_path, run_sweep, sweep_head

    request = request_of(options, settings, data_root)
    with reading_words():
        grid = make_grid(request.strategy, pairs(options.param, "--param"), options.grid)
    collect_what_comes()
    spec = {"axes": grid.axes, "points": len(grid.points)}
    head = sweep_head("sweep", request, spec, grid.refused)
    path = Path(options.out) if options.out else default_path(data_root, head)
    with alone_on(path):
        results = SweepResults.begin(path, head)
        report = path.with_suffix(".html")
        try:
            with workers_of(options, bars) as workers, bar(options) as tell:
                run_sweep(settings, data_root, request, grid, results, workers, tell)
        except KeyboardInterrupt:
            print(
                f"\nfleet: interrupted; {len(results.all)} of {len(grid.points)} points are in {path}, "
                "and the same command goes on with the others",
                file=sys.stderr,
            )
            raise
        finally:
            verdict = judge(results.all, options.metric)
            if results.all:
                report.write_text(render_sweep(results, verdict), "utf-8")
        if options.json:
            print_json(
                {"results": str(path), "report": str(report), "refused": grid.refused,
                 "points": [_brief(result) for result in ranked(results.all, options.metric)],
                 **{name: msgspec.to_builtins(getattr(verdict, name))
                    for name in ("metric", "failed", "forms", "strict", "trials_alike")}}
            )  # fmt: skip
        else:
            _print(results, list(grid.axes), options.metric, verdict)
            print(f"\nresults {path}\nreport  {report}")
        return OK if verdict.best is not None or not verdict.failed else FAILED


@contextmanager
def alone_on(path: Path) -> Iterator[None]:
    """Let no other process write the same results meanwhile: it would do every point again beside us."""
    from libs.dbaccess import WriterLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with WriterLock(path.with_name(f".{path.name}.lock")):
        yield


@contextmanager
def workers_of(options: argparse.Namespace, bars: BarsSource | None = None) -> Iterator[Workers]:
    """Give what runs the points: a cluster, or this process and those it finds worth starting."""
    from services.backtest.sweep.workers import Cluster, Team

    with Cluster(options.cluster) if options.cluster else Team(options.workers, bars) as workers:
        yield workers


@contextmanager
def bar(options: argparse.Namespace) -> Iterator[Any]:
    """Give the progress bar, or nothing to see."""
    if options.quiet or options.json:
        yield lambda _done, _total, _what: None
        return
    with progress() as tell:
        yield tell


def _print(results: SweepResults, axes: list[str], metric: str, verdict: Any) -> None:
    from services.backtest.sweep.judge import ranked

    figures = [each for each in _FIGURES if each[0] != metric]
    headings = (*(name.upper() for name in axes), metric.upper(), *(heading for _, heading in figures), "FORM")
    rows = [
        (*(result.parameters[name] for name in axes), figure_text(result, metric),
         *(figure_text(result, name) for name, _ in figures), result.form)
        for result in ranked(results.all, metric)[:10]
    ]  # fmt: skip
    print_table(headings, rows)
    forms = ", ".join(f"{count:,} {form}" for form, count in sorted(verdict.forms.items()))
    print(
        f"\n{verdict.points:,} points: {forms or 'none ran'}; {verdict.failed} failed, {results.head.refused} refused"
    )
    if verdict.strict is not None:
        print(
            f"deflated Sharpe: the best is skill {verdict.strict.probability:.1%}, every point a trial; "
            f"{verdict.trials_alike.probability:.1%}, alike as one ({verdict.trials_alike.trials_effective:.1f})"
        )
    for result in [result for result in results.all if result.error][:5]:
        print(f"{result.state}: {result.parameters}: {result.error}")


def figure_text(result: PointResult, name: str) -> str:
    """Spell one figure of a point."""
    value = result.figures.get(name)
    if value is None:
        return "-"
    if name in _PERCENT:
        return f"{value:.2%}"
    return f"{value:,.0f}" if name in {"trades", "profit_paise"} else f"{value:.3f}"


def _brief(result: PointResult) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(result)
    del found["returns"]
    return found
