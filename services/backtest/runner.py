"""`BacktestRunner`: one strategy over the past, into one file. Reads closed days, writes its own file, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from libs.core.clock import IST, to_datetime
from libs.core.errors import FleetError
from libs.core.ids import content_id, random_id
from libs.dbaccess import DatabaseManager, Store
from libs.dbaccess.roles import require_owner
from libs.strategies.user import load_directory
from services.backtest.bars import BarsReader, NoCandles
from services.backtest.collection import without_collection
from services.backtest.progress import Progress
from services.backtest.request import RunRequest, make_request
from services.backtest.stopping import Stopping

if TYPE_CHECKING:
    from services.backtest.simulation import Simulation

__all__ = ["BacktestRunner", "Progress", "RunFailed", "RunInterrupted", "new_run_id"]


class RunFailed(FleetError):
    """The run broke; its file says where."""

    def __init__(self, run_id: str, reason: str) -> None:
        super().__init__(f"{run_id} failed: {reason}")
        self.reason = reason


class NothingToRun(RunFailed, FileNotFoundError):
    """There are no candles of what was asked for; the run's file says of which."""


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C came; what was run until then is in the run's file, marked `partial`."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"{run_id} was interrupted; what it did until then is kept, marked partial")
        self.run_id = run_id


class BacktestRunner:
    """Runs backtests, one at a time. The manager's role must be BACKTEST."""

    def __init__(self, db: DatabaseManager) -> None:
        require_owner(db.role, Store.BACKTEST_RUN)
        self._db = db

    def run(
        self,
        strategy: str,
        symbols: str | Sequence[str],
        start: Any,
        end: Any,
        *,
        progress: Callable[[Progress], None] | None = None,
        **options: Any,
    ) -> str:
        """Run a strategy on symbols over the dates from start to end, both included, and give the run's id.

        `options` are the fields of `RunRequest`: timeframe, parameters, cash_rupees, costs, fills, sizing, exits, …
        """
        load_directory(self._db.settings.strategies.directory(self._db.settings.data_root))
        names = symbols if isinstance(symbols, str) else list(symbols)
        return self.execute(make_request(strategy, names, start, end, **options), progress=progress)

    def execute(
        self, request: RunRequest, *, run_id: str = "", progress: Callable[[Progress], None] | None = None,
        bars: BarsReader | None = None,
    ) -> str:  # fmt: skip
        """Run a request, under a name given or a new one; one whose data falls short of its minimum leaves no run.

        `bars` are what it asks for, where somebody has begun to read them.
        """
        return self.simulate(request, run_id=run_id, progress=progress, bars=bars).run_id

    def simulate(
        self, request: RunRequest, *, run_id: str = "", progress: Callable[[Progress], None] | None = None,
        bars: BarsReader | None = None,
    ) -> Simulation:  # fmt: skip
        """Run a request as `execute` does; give the run, whose file is written, with all it has in memory."""
        created_us = self._db.clock.now_us()
        run_id = run_id or new_run_id(request, created_us)
        if request.coverage_min_percent:
            from libs.dbaccess.coverage import require_coverage  # it brings Arrow, which runs need for nothing else

            require_coverage(
                self._db, request.exchange, request.start, request.end,
                percent=request.coverage_min_percent, symbols=request.symbols_all,
            )  # fmt: skip
        if bars is None or not bars.serves(request):
            bars = BarsReader(self._db, request)
        with Stopping() as stopping, without_collection(), bars:
            # To import what runs them, and to make the run's file, takes about as long as to read a year of minutes.
            from services.backtest.simulation import Simulation

            simulation = Simulation(self._db, request, run_id, progress)
            with self._db.backtest_writer(run_id) as connection:
                simulation.begin(connection, created_us)
                state, raised = _gone(simulation, bars, stopping, run_id)
                error = raised.reason if isinstance(raised, RunFailed) else ""
                simulation.write(connection, state, error, self._db.clock.now_us())
        simulation.tell(state)
        if raised is not None:
            raise raised
        return simulation


def _gone(
    simulation: Simulation, bars: BarsReader, stopping: Stopping, run_id: str
) -> tuple[str, RunFailed | RunInterrupted | None]:
    """Run it; give how it ended, and what is to be raised when that is written."""
    try:
        try:
            simulation.go(bars, stopping)
        finally:
            stopping.never()
    except KeyboardInterrupt:
        return "partial", RunInterrupted(run_id)
    except Exception as e:  # noqa: BLE001 - whatever broke it, its file must say so
        if stopping.has_struck:
            return "partial", RunInterrupted(run_id)
        kind = NothingToRun if isinstance(e, NoCandles) else RunFailed
        failed = kind(run_id, f"{type(e).__name__}: {e}")
        failed.__cause__ = e
        return "failed", failed
    return "complete", None


def new_run_id(request: RunRequest, created_us: int) -> str:
    """Name a run: when it began (IST), and a hash nobody else has."""
    moment = to_datetime(created_us).astimezone(IST)
    digest = content_id(msgspec.json.encode(request, order="sorted").decode(), created_us, random_id())
    return f"run_{moment:%Y%m%d_%H%M%S}_{digest[:10]}"
