"""`BacktestRunner`: one strategy over the past, into one file. Reads closed days, writes its own file, nothing else."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from libs.contracts.market import TIMEFRAMES
from libs.core.clock import IST, US_PER_MINUTE, to_datetime
from libs.core.errors import FleetError
from libs.core.ids import content_id, random_id
from libs.dbaccess import DatabaseManager, Store
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.roles import require_owner
from libs.dbaccess.runs import RunConnection
from libs.strategies import registry
from libs.strategies.user import load_directory
from libs.trading.columns import Columns
from libs.trading.desk import Desk
from services.backtest import metrics, run_file
from services.backtest.account import make_desk
from services.backtest.data import NoCandles, RunData, load
from services.backtest.doubts import doubts_of_data, doubts_of_fills
from services.backtest.equity import equity_curve
from services.backtest.form import choose_form, make_host, run_form
from services.backtest.loops import make_loop, ticks_of
from services.backtest.recorder import RunRecorder
from services.backtest.request import RunRequest, make_request
from services.backtest.stopping import Stopping


class Progress(msgspec.Struct, frozen=True):
    """How far a run is. `state`: running, complete, partial, failed."""

    run_id: str
    bars_done: int
    bars: int
    market_us: int
    equity_paise: int
    state: str = "running"


class RunFailed(FleetError):
    """The run broke; its file says where."""


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
        self, request: RunRequest, *, run_id: str = "", progress: Callable[[Progress], None] | None = None
    ) -> str:
        """Run a request, under a name given or a new one; one whose data falls short of its minimum leaves no run."""
        created_us = self._db.clock.now_us()
        run_id = run_id or new_run_id(request, created_us)
        if request.coverage_min_percent:
            from libs.dbaccess.coverage import require_coverage  # it brings Arrow, which runs need for nothing else

            require_coverage(
                self._db, request.exchange, request.start, request.end,
                percent=request.coverage_min_percent, symbols=request.symbols_all,
            )  # fmt: skip
        interrupted: RunInterrupted | None = None
        failed: RunFailed | None = None
        with Stopping() as stopping, self._db.backtest_writer(run_id) as connection:
            simulation = _Simulation(self._db, request, run_id, progress)
            run_file.begin(
                connection, run_id, request, strategy_version=str(registry.find(request.strategy).version),
                settings=simulation.describe(), created_us=created_us,
            )  # fmt: skip
            state, error = "complete", ""
            try:
                try:
                    simulation.go(stopping)
                finally:
                    stopping.never()
            except KeyboardInterrupt:
                interrupted, state = RunInterrupted(run_id), "partial"
            except Exception as e:  # noqa: BLE001 - whatever broke it, its file must say so
                if stopping.has_struck:
                    interrupted, state = RunInterrupted(run_id), "partial"
                else:
                    state, error = "failed", f"{type(e).__name__}: {e}"
                    kind = NothingToRun if isinstance(e, NoCandles) else RunFailed
                    failed = kind(f"{run_id} failed: {error}")
                    failed.__cause__ = e
            simulation.write(connection, state, error, self._db.clock.now_us())
        simulation.tell(state)
        if interrupted is not None:
            raise interrupted
        if failed is not None:
            raise failed
        return run_id


def new_run_id(request: RunRequest, created_us: int) -> str:
    """Name a run: when it began (IST), and a hash nobody else has."""
    moment = to_datetime(created_us).astimezone(IST)
    digest = content_id(msgspec.json.encode(request, order="sorted").decode(), created_us, random_id())
    return f"run_{moment:%Y%m%d_%H%M%S}_{digest[:10]}"


@contextmanager
def without_collection() -> Iterator[None]:
    """Let no garbage collection walk over the run's records: there are many, they stay, and none is in a circle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Simulation:
    """One run from its data to its rows."""

    def __init__(
        self, db: DatabaseManager, request: RunRequest, run_id: str, progress: Callable[[Progress], None] | None
    ) -> None:
        self._db = db
        self._request = request
        self._run_id = run_id
        self._progress = progress
        self._risk = request.risk(db.settings.risk)
        self._data: RunData | None = None
        self._desk: Desk | None = None
        self._recorder: RunRecorder | None = None
        self._ran: tuple[Columns, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Give everything that decided the run, for its file."""
        return {"request": msgspec.to_builtins(self._request), "risk": msgspec.structs.asdict(self._risk)}

    def go(self, stopping: Stopping) -> None:
        """Load and run."""
        request = self._request
        stopping.at_once()
        calendar = load_calendar(self._db.layout.root, request.exchange)
        warmup = max(make_host(request, calendar).warmup_needed().values(), default=0)
        data = self._data = load(self._db, request, warmup)
        desk = self._desk = make_desk(request, data, self._risk)
        recorder = self._recorder = RunRecorder(desk, self._on_progress if self._progress else None)
        recorder.log.extend(doubts_of_data(data))
        form, why = choose_form(request, data, self._risk, calendar)
        recorder.note("info", "run.form", form=form, why=why)
        with ticks_of(self._db, request, data) as ticks, without_collection():
            loop = make_loop(request, desk, calendar, ticks)
            stopping.after_the_day()
            host = run_form(form, request, data, loop, recorder, calendar, stopping.goes_on)
        if ticks is not None:
            recorder.note(
                "info", "data.ticks", fingerprint=ticks.fingerprint, bars_known_after_ms=ticks.grace_us // 1000
            )
        for fault in host.take_faults():
            recorder.note("warning", f"strategy.{fault.kind.value}", fault.timestamp_us, **msgspec.to_builtins(fault))
        if recorder.bars < data.bars:
            raise KeyboardInterrupt
        recorder.on_events(loop.end(self._last_us(data.columns)))
        for note in doubts_of_fills(data.columns, recorder.fills, desk):
            recorder.log.append(note)
        self._ran = data.columns

    def write(self, connection: RunConnection, state: str, error: str, finished_us: int) -> None:
        """Write what there is: of a run that did not come to its end, up to the last bar that was run."""
        data, desk, recorder = self._data, self._desk, self._recorder
        if data is not None and desk is not None and recorder is not None:
            ran = self._ran = self._ran or _up_to(data.columns, recorder.ran_until_us)
            curve = equity_curve(ran, recorder.fills, self._request.cash_paise)
            figures = metrics.compute(ran, curve, recorder.fills, self._request.cash_paise)
            run_file.write_results(connection, recorder, desk, curve, figures)
        run_file.end(
            connection, state=state, error=error, bars=sum(map(len, self._ran)), finished_us=finished_us,
            fingerprint=data.fingerprint if data else "", data=data.describe() if data else {},
        )  # fmt: skip

    def tell(self, state: str) -> None:
        """Tell whoever watches that it is over."""
        if self._progress and self._data and self._desk:
            done, last_us = sum(map(len, self._ran)), self._last_us(self._ran)
            self._progress(Progress(self._run_id, done, self._data.bars, last_us, self._desk.equity_paise, state))

    def _last_us(self, columns: Sequence[Columns]) -> int:
        """Give the end of the last bar; 0 where there is none."""
        bar_us = TIMEFRAMES[self._request.timeframe] * US_PER_MINUTE
        return max((int(each.timestamps[-1]) + bar_us for each in columns), default=0)

    def _on_progress(self, done: int, at_us: int, equity_paise: int) -> None:
        assert self._progress is not None
        assert self._data is not None
        self._progress(Progress(self._run_id, done, self._data.bars, at_us, equity_paise))


def _up_to(columns: Sequence[Columns], until_us: int) -> tuple[Columns, ...]:
    """Give the bars that begin before an instant: nothing behind it may be in the figures."""
    parts = (each.part(0, int(each.timestamps.searchsorted(until_us))) for each in columns)
    return tuple(part for part in parts if len(part))
