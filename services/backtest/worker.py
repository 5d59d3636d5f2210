"""`python -m services.backtest.worker ROOT RUN_ID`: one job. Takes its request on stdin, says how far it is on stdout.

SIGTERM and Ctrl-C end it with a partial run that can be read.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

import msgspec

from libs.core.clock import Clock, SystemClock
from libs.core.errors import FleetError
from libs.dbaccess import DatabaseManager, Role
from libs.settings import load_settings
from libs.strategies.user import load_directory
from services.backtest.request import RunRequest, checked
from services.backtest.runner import BacktestRunner, Progress, RunInterrupted

_INTERVAL_NS = 250_000_000
FAILED, INTERRUPTED = 1, 130


def work(data_root: str, run_id: str, request: bytes, clock: Clock) -> int:
    """Run one request under a name; give the exit code."""
    settings = load_settings()
    db = DatabaseManager(data_root, Role.BACKTEST, settings=settings, clock=clock)
    load_directory(settings.strategies.directory(data_root))
    told_ns = 0

    def tell(progress: Progress) -> None:
        nonlocal told_ns
        now_ns = clock.monotonic_ns()
        if progress.state == "running" and now_ns - told_ns < _INTERVAL_NS:
            return
        told_ns = now_ns
        sys.stdout.write(msgspec.json.encode(progress).decode() + "\n")
        sys.stdout.flush()

    try:
        wanted = checked(msgspec.json.decode(request, type=RunRequest))
        BacktestRunner(db).execute(wanted, run_id=run_id, progress=tell)
    except RunInterrupted:
        return INTERRUPTED
    except (FleetError, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return FAILED
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(work(sys.argv[1], sys.argv[2], sys.stdin.buffer.read(), SystemClock()))
