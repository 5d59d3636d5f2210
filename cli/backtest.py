"""`fleet backtest`: run strategies over the past, and look at what came out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from cli.output import add_json
from cli.words import at_least


def add(subparsers: Any) -> None:
    """Add the group."""
    parser = subparsers.add_parser(
        "backtest",
        help="run strategies over the past, list, show, compare and delete runs",
        description="Backtests. A run reads closed days of history and writes one file of its own.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_sweep(commands)
    _add_optimize(commands)
    _add_honesty(commands)
    _add_list(commands)
    _add_named(commands, "show", "a run's parameters, figures, data quality and log", "cli.backtest_show:show")
    trades = _add_named(commands, "trades", "a run's fills", "cli.backtest_show:trades")
    trades.add_argument("--symbols", metavar="A,B", help="only these")
    report = _add_named(commands, "report", "one HTML file that opens offline", "cli.backtest_show:report")
    report.add_argument("--out", metavar="FILE", help="default: RUN.html here")
    compare = _command(
        commands, "compare", "how two runs differ; exit code 1 when they do", "cli.backtest_show:compare"
    )
    compare.add_argument("first", metavar="RUN")
    compare.add_argument("second", metavar="RUN")
    _add_named(commands, "delete", "delete a run", "cli.backtest_show:delete")
    keep = _add_named(commands, "keep", "let clean-up leave a run alone", "cli.backtest_show:keep")
    keep.add_argument("--no", dest="is_kept", action="store_false", help="do not keep it any more")
    cleanup = _command(
        commands, "cleanup", "delete the runs data/backtest/.cleanup_policy.json does not keep",
        "cli.backtest_show:cleanup",
    )  # fmt: skip
    cleanup.add_argument("--dry-run", action="store_true", help="only say which")
    _command(commands, "reindex", "make the index again out of the run files", "cli.backtest_show:reindex")
    _command(commands, "jobs", "runs that were asked of the service", "cli.backtest_show:jobs")
    cancel = _command(commands, "cancel", "take a job out of the queue, or stop it", "cli.backtest_show:cancel")
    cancel.add_argument("job", metavar="JOB")


def add_request(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say what is run."""
    parser.add_argument("--strategy", required=True, metavar="ID", help="`fleet strategies` lists them")
    parser.add_argument("--symbols", required=True, metavar="A,B")
    parser.add_argument("--from", dest="start", required=True, metavar="D", help="first day, 2026-02-02")
    parser.add_argument("--to", dest="end", required=True, metavar="D", help="last day, included")
    parser.add_argument("--timeframe", default="1m", help="default 1m")
    parser.add_argument("--exchange", default="", help="default: data.exchange of the settings")
    parser.add_argument("--param", action="append", default=[], metavar="K=V", help="a parameter of the strategy")
    parser.add_argument("--cash", type=int, default=1_000_000, metavar="RUPEES", help="default 1000000")
    parser.add_argument("--fill", choices=("next_bar_open", "next_tick"), default="next_bar_open")
    parser.add_argument("--no-costs", dest="costs", action="store_false", help="no charges")
    parser.add_argument("--latency-ms", type=int, default=0, metavar="N", help="on ticks: from decision to exchange")
    parser.add_argument("--spread-ticks", type=int, default=1, metavar="N", help="where a tick has no bid and ask")
    parser.add_argument("--slippage-ticks", type=int, default=0, metavar="N")
    parser.add_argument("--slippage-bp", type=float, default=0.0, metavar="N", help="basis points of the price")
    parser.add_argument("--participation", type=float, default=100.0, metavar="PERCENT", help="of a bar's volume")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quantity", type=int, metavar="N", help="shares an entry")
    size.add_argument("--value", type=int, metavar="RUPEES", help="rupees an entry; the default, with 100000")
    size.add_argument("--equity-percent", type=float, metavar="P", help="of the account's worth an entry")
    parser.add_argument("--exit", action="append", default=[], metavar="K=V", help="an exit rule, stop_percent=1")
    parser.add_argument("--limit", action="append", default=[], metavar="K=V", help="a limit of [risk], 0 for none")
    parser.add_argument("--product", choices=("intraday", "delivery"), default="intraday")
    parser.add_argument(
        "--run-on", dest="daily_anchor", action="store_false",
        help="indicators run on through the nights; by default strategies start anew every morning, as live",
    )  # fmt: skip
    parser.add_argument(
        "--form", choices=("auto", "event"), default="auto",
        help="event: every strategy bar by bar; auto: vectorised where that proves equal on a sample",
    )  # fmt: skip
    parser.add_argument(
        "--min-coverage", type=float, default=0.0, metavar="PERCENT",
        help="refuse the run unless each symbol has so much of each trading day's minutes",
    )  # fmt: skip
    parser.add_argument("--data-root", help="the stores' directory; by default the settings'")


def _add_run(commands: Any) -> None:
    parser = _command(commands, "run", "run a strategy over the past", "cli.backtest_run:run", runs=True)
    add_request(parser)
    parser.add_argument("--queue", action="store_true", help="have the backtest service run it; prints the job")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_sweep(commands: Any) -> None:
    parser = _command(
        commands, "sweep", "every point of a grid of parameters; killed, the same command goes on",
        "cli.backtest_sweep:sweep", runs=True,
    )  # fmt: skip
    add_request(parser)
    parser.add_argument(
        "--grid", action="append", default=[], metavar="K=V", required=True,
        help="fast=5:20:5 (both ends included) or fast=5,8,13; once a parameter",
    )  # fmt: skip
    add_points(parser)


def _add_optimize(commands: Any) -> None:
    parser = _command(
        commands, "optimize", "a seeded search of parameters, judged on days they were not found on",
        "cli.backtest_optimize:optimize", runs=True,
    )  # fmt: skip
    add_request(parser)
    parser.add_argument(
        "--space", action="append", default=[], metavar="K=V", required=True,
        help="fast=5..20 (both ends included) or side=a,b; once a parameter",
    )  # fmt: skip
    parser.add_argument("--trials", type=at_least(1), default=50, metavar="N", help="points tried a fold; default 50")
    parser.add_argument(
        "--batch", type=at_least(1), default=2, metavar="N", help="trials asked for at a time; default 2"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default 0; the same seed, the same trials")
    parser.add_argument("--walk-forward", type=at_least(0), default=0, metavar="N", help="so many folds; default none")
    parser.add_argument(
        "--in-sample", type=at_least(1), default=3, metavar="N", help="days searched for each day judged; default 3"
    )
    add_points(parser)


def _add_honesty(commands: Any) -> None:
    parser = _command(
        commands, "lookahead", "does a strategy know the future? Exit code 1 when it does",
        "cli.backtest_honesty:lookahead", runs=True,
    )  # fmt: skip
    add_request(parser)
    parser.add_argument(
        "--cuts", type=at_least(2), default=10, metavar="N", help="so often the data are cut short; default 10"
    )
    luck = _add_named(
        commands, "luck", "a run's trades in other orders, and beside entries by chance", "cli.backtest_honesty:luck"
    )
    luck.add_argument("--rounds", type=at_least(1), default=1000, metavar="N", help="default 1000")
    luck.add_argument("--seed", type=int, default=0, metavar="N", help="default 0; the same seed, the same answer")


def add_points(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say where points are run, and by what they are judged."""
    from services.backtest.sweep.figures import METRICS

    parser.add_argument("--metric", choices=METRICS, default="sharpe", help="what is best; default sharpe")
    parser.add_argument(
        "--workers", type=at_least(1), default=os.cpu_count() or 1, metavar="N",
        help="at most so many at once; default all",
    )  # fmt: skip
    parser.add_argument("--cluster", metavar="tcp://HOST:PORT", help="a Dask scheduler whose workers see the data root")
    parser.add_argument("--out", metavar="FILE", help="results; by default one file below data/backtest/sweeps")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_list(commands: Any) -> None:
    parser = _command(commands, "list", "every run, newest first", "cli.backtest_show:list_runs")
    parser.add_argument("--strategy", default="", metavar="ID", help="only of this strategy")
    parser.add_argument("--last", type=at_least(0), default=50, metavar="N", help="default 50; 0 for all")


def _add_named(commands: Any, name: str, purpose: str, target: str) -> argparse.ArgumentParser:
    parser = _command(commands, name, purpose, target)
    parser.add_argument("run_id", metavar="RUN")
    return parser


def _command(commands: Any, name: str, purpose: str, target: str, *, runs: bool = False) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
    add_json(parser)
    if not runs:
        parser.add_argument("--data-root", help="the stores' directory; by default the settings'")
    parser.set_defaults(run=_later(target))
    return parser


def _later(target: str) -> Callable[[argparse.Namespace], int]:
    """Give a command whose module is imported when it is run: one run should not wait for what fifteen others need."""

    def run(options: argparse.Namespace) -> int:
        # Nothing here multiplies matrices that are worth a thread, and OpenBLAS's go round while they wait for one.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        module, _, function = target.partition(":")
        return int(getattr(import_module(module), function)(options) or 0)

    return run
