"""`fleet backtest optimize`: a seeded search of the parameters, with walk-forward where it is asked for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec

from cli.backtest_sweep import alone_on, bar, figure_text, workers_of
from cli.backtest_words import base_request, pairs
from cli.exits import FAILED, OK, reading_words
from cli.output import print_json, print_table


def optimize(options: argparse.Namespace) -> int:
    """Search, and print what was found apart from what it did on days it was not found on."""
    from services.backtest.sweep.grid import parse_space
    from services.backtest.sweep.results import SweepResults
    from services.backtest.sweep.search import SearchPlan, joined_figures, make_folds, run_search
    from services.backtest.sweep.sweeping import default_path, sweep_head

    settings, data_root, request = base_request(options)
    with reading_words():
        search = SearchPlan(
            ranges=parse_space(request.strategy, options.space),
            fixed=pairs(options.param, "--param"),
            trials=options.trials,
            batch=options.batch,
            seed=options.seed,
            metric=options.metric,
            folds=make_folds(data_root, request, options.walk_forward, options.in_sample),
        )
    head = sweep_head("optimize", request, msgspec.to_builtins(search))
    path = Path(options.out) if options.out else default_path(data_root, head)
    with alone_on(path):
        results = SweepResults.begin(path, head)
        try:
            with workers_of(options) as workers, bar(options) as tell:
                found = run_search(settings, data_root, request, search, results, workers, tell)
        except KeyboardInterrupt:
            print(f"\nfleet: interrupted; {len(results.all)} trials are in {path}; the same command goes on",
                  file=sys.stderr)  # fmt: skip
            raise
        searched, judged = joined_figures(found)
        if options.json:
            print_json({"results": str(path), "folds": [_brief(each) for each in found],
                        "in_sample": searched, "out_of_sample": judged})  # fmt: skip
        else:
            _print(found, options, searched, judged)
            print(f"\nresults {path}")
        return OK if any(each.found for each in found) else FAILED


def _print(found: Any, options: argparse.Namespace, searched: dict[str, Any], judged: dict[str, Any]) -> None:
    from services.backtest.sweep.grid import parse_space

    names = [each.name for each in parse_space(options.strategy, options.space)]
    metric = options.metric
    rows = [
        (f"{each.fold.start} to {each.fold.end}", " ".join(f"{name}={each.found.parameters[name]}" for name in names),
         figure_text(each.found, metric), each.found.form,
         f"{each.fold.judged_start} to {each.fold.judged_end}" if each.judged else "-",
         figure_text(each.judged, metric) if each.judged else "-",
         figure_text(each.judged, "return_ratio") if each.judged else "-")
        for each in found if each.found
    ]  # fmt: skip
    headings = ("IN SAMPLE", "BEST", f"IN {metric.upper()}", "FORM", "OUT OF SAMPLE", f"OUT {metric.upper()}", "RETURN")
    print_table(headings, rows)
    print(f"\nin sample      Sharpe {_figure(searched.get('sharpe'))}")
    if judged:
        print(f"out of sample  Sharpe {_figure(judged.get('sharpe'))}, return {judged['return_ratio']:.2%}")
    elif rows:
        print("out of sample  nothing: --walk-forward N judges what is found on days it was not found on")
    if not rows:
        print(f"nothing was found: no trial has a {metric}. A ratio takes two days at least, and trades; more days a "
              "fold (--in-sample, --from), or another --metric")  # fmt: skip


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _brief(each: Any) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(each)
    for name in ("found", "judged"):
        if document[name]:
            del document[name]["returns"]
    return document
