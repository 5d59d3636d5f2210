"""One run from its bars to the rows of its file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

import msgspec

from libs.contracts.market import TIMEFRAMES
from libs.core.clock import US_PER_MINUTE
from libs.dbaccess import DatabaseManager
from libs.dbaccess.calendars import load_calendar
from libs.dbaccess.runs import RunConnection
from libs.strategies import registry
from libs.trading.columns import Columns
from libs.trading.desk import Desk
from services.backtest import metrics, run_file
from services.backtest.account import make_desk
from services.backtest.bars import BarsReader
from services.backtest.data import RunData, load
from services.backtest.doubts import doubts_of_data, doubts_of_fills, doubts_of_gaps
from services.backtest.equity import EquityCurve, equity_curve
from services.backtest.form import choose_form, make_host, run_form
from services.backtest.loops import make_loop, ticks_of
from services.backtest.progress import Progress
from services.backtest.recorder import RunRecorder
from services.backtest.request import RunRequest
from services.backtest.stopping import Stopping
from services.backtest.summary import summed_up
from services.backtest.traded import Traded


class Simulation:
    """One run from its data to its rows."""

    def __init__(
        self, db: DatabaseManager, request: RunRequest, run_id: str, progress: Callable[[Progress], None] | None
    ) -> None:
        self._db = db
        self._request = request
        self.run_id = run_id
        self._progress = progress
        self._risk = request.risk(db.settings.risk)
        self._data: RunData | None = None
        self._desk: Desk | None = None
        self._recorder: RunRecorder | None = None
        self._settling: Thread | None = None
        self._ran: tuple[Columns, ...] = ()
        #: What was written: the run's own row, its figures, and the rows of each table.
        self._row: dict[str, Any] = {}
        self._figures: metrics.Metrics = {}
        self._counts: dict[str, int] = {}

    def begin(self, connection: RunConnection, created_us: int) -> None:
        """Write what was asked, with everything that decides the run."""
        settings = {"request": msgspec.to_builtins(self._request), "risk": msgspec.structs.asdict(self._risk)}
        self._row = run_file.begin(
            connection, self.run_id, self._request, settings=settings, created_us=created_us,
            strategy_version=str(registry.find(self._request.strategy).version),
        )  # fmt: skip

    def go(self, bars: BarsReader, stopping: Stopping) -> None:
        """Run the bars that are being read."""
        request = self._request
        stopping.at_once()
        calendar = load_calendar(self._db.layout.root, request.exchange)
        warmup = max(make_host(request, calendar).warmup_needed().values(), default=0)
        data = self._data = load(bars, warmup)

        def settle() -> None:
            bars.close()  # its engine keeps memory
            data.fingerprint  # noqa: B018 - it is kept

        self._settling = Thread(target=settle, name="settling")
        self._settling.start()
        desk = self._desk = make_desk(request, data, self._risk)
        recorder = self._recorder = RunRecorder(desk, self._on_progress if self._progress else None)
        recorder.log.extend(doubts_of_data(data, warmup))
        form, why = choose_form(request, data, self._risk, calendar)
        recorder.note("info", "run.form", form=form, why=why)
        with ticks_of(self._db, request, data) as ticks:
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
        recorder.log.extend(doubts_of_gaps(data.symbols, recorder.traded))
        recorder.log.extend(doubts_of_fills(data.columns, recorder.traded, desk))
        self._ran = data.columns

    def write(self, connection: RunConnection, state: str, error: str, finished_us: int) -> None:
        """Write what there is: of a run that did not come to its end, up to the last bar that was run."""
        data, desk, recorder = self._data, self._desk, self._recorder
        if self._settling is not None:
            self._settling.join()
        if data is not None and desk is not None and recorder is not None:
            ran = self._ran = self._ran or _up_to(data.columns, recorder.ran_until_us)
            traded, cash_paise = Traded(recorder.traded), self._request.cash_paise

            def worked_out() -> tuple[EquityCurve, metrics.Metrics]:
                curve = equity_curve(ran, traded.deals, cash_paise)
                return curve, metrics.compute(ran, curve, traded, cash_paise)

            written = run_file.write_results(connection, recorder, desk, traded, worked_out)
            self._figures, self._counts = written
        self._row |= run_file.end(
            connection, state=state, error=error, bars=sum(map(len, self._ran)), finished_us=finished_us,
            fingerprint=data.fingerprint if data else "", data=data.describe() if data else {},
        )  # fmt: skip

    def described(self) -> dict[str, Any]:
        """Give what `reading.describe` finds in the file that was written."""
        return summed_up(self._row, self._figures, self._counts, self._recorder if self._counts else None)

    def tell(self, state: str) -> None:
        """Tell whoever watches that it is over."""
        if self._progress and self._data and self._desk:
            done, last_us = sum(map(len, self._ran)), self._last_us(self._ran)
            self._progress(Progress(self.run_id, done, self._data.bars, last_us, self._desk.equity_paise, state))

    def _last_us(self, columns: Sequence[Columns]) -> int:
        """Give the end of the last bar; 0 where there is none."""
        bar_us = TIMEFRAMES[self._request.timeframe] * US_PER_MINUTE
        return max((int(each.timestamps[-1]) + bar_us for each in columns), default=0)

    def _on_progress(self, done: int, at_us: int, equity_paise: int) -> None:
        assert self._progress is not None
        assert self._data is not None
        self._progress(Progress(self.run_id, done, self._data.bars, at_us, equity_paise))


def _up_to(columns: Sequence[Columns], until_us: int) -> tuple[Columns, ...]:
    """Give the bars that begin before an instant: nothing behind it may be in the figures."""
    parts = (each.part(0, int(each.timestamps.searchsorted(until_us))) for each in columns)
    return tuple(part for part in parts if len(part))
