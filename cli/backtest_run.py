"""`fleet backtest run`: one run, here with a progress bar or by the service."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from cli.backtest_words import request_of, stores, wanted_bars
from cli.exits import OK
from cli.output import print_json
from libs.core.clock import SystemClock
from libs.core.errors import FleetError
from services.backtest.collection import without_collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from libs.settings import Settings
    from services.backtest.bars import BarsReader
    from services.backtest.progress import Progress
    from services.backtest.request import RunRequest
    from services.backtest.simulation import Simulation

_BAR_WIDTH = 30
#: The last run, left to the process's end: to take so many records apart costs as long as to write a table of them.
_last: list[Simulation] = []


def run(options: argparse.Namespace) -> int:
    """Run it and print its figures, or put it into the service's queue."""
    settings, data_root = stores(options)
    if options.queue:
        return _submit(options, settings, data_root, request_of(options, settings, data_root))
    with without_collection():  # what is imported is no garbage
        from services.backtest.bars import begin_to_read

        with begin_to_read(settings, data_root, wanted_bars(options, settings)) as bars:
            return _run(options, settings, data_root, bars)


def _run(options: argparse.Namespace, settings: Settings, data_root: str, bars: BarsReader) -> int:
    from services.backtest.runner import BacktestRunner, RunInterrupted

    request, db = request_of(options, settings, data_root), bars.db
    Thread(target=_import_what_ends_it).start()
    shows = not options.quiet and not options.json and sys.stderr.isatty()
    try:
        ran = BacktestRunner(db).simulate(request, progress=_bar() if shows else None, bars=bars)
    except RunInterrupted as e:
        _into_index(settings, data_root)
        print(f"\nfleet: {e}", file=sys.stderr)
        raise
    except FleetError:
        _into_index(settings, data_root)
        raise
    _into_index(settings, data_root)
    from cli.backtest_show import print_run

    print_run(ran.described(), as_json=options.json)
    _last[:] = [ran]
    return OK


def _import_what_ends_it() -> None:
    """Import what comes after the run while its bars are being read, when nothing else wants the interpreter."""
    for name in ("services.backtest.owner", "cli.backtest_show", "portalocker"):
        import_module(name)


def _submit(options: argparse.Namespace, settings: Settings, data_root: str, request: RunRequest) -> int:
    import msgspec

    from libs.messaging import CommandClient

    owned = msgspec.structs.replace(settings, data_root=data_root)
    with CommandClient("backtest", settings=owned) as client:
        answer = client.call("submit", {"request": msgspec.to_builtins(request), "requested_by": "cli"})
    if options.json:
        print_json(answer)
    else:
        print(f"job {answer['job_id']} waits for a worker; `fleet feed backtest` and `fleet backtest jobs` show it")
    return OK


def _into_index(settings: Settings, data_root: str) -> None:
    """Tell the index; a run it does not know yet is listed all the same."""
    from services.backtest.owner import ask_owner

    with suppress(FleetError, OSError):
        ask_owner(settings, data_root, "reconcile", SystemClock())


def _bar() -> Callable[[Progress], None]:
    """Give a function that draws the progress on one line of the terminal."""
    clock = SystemClock()
    began_ns = clock.monotonic_ns()

    def draw(progress: Progress) -> None:
        share = progress.bars_done / progress.bars if progress.bars else 1.0
        filled = int(share * _BAR_WIDTH)
        seconds = (clock.monotonic_ns() - began_ns) / 1e9
        speed = progress.bars_done / seconds if seconds else 0.0
        sys.stderr.write(
            f"\r{'#' * filled}{'.' * (_BAR_WIDTH - filled)} {share:6.1%}  {progress.bars_done:,} bars  "
            f"{speed:,.0f}/s  equity {progress.equity_paise / 100:,.2f}"
        )
        if progress.state != "running":
            sys.stderr.write("\n")
        sys.stderr.flush()

    return draw
