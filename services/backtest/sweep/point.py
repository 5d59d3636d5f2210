"""One point of a sweep: the run that `fleet backtest run` would make, without its file. Data stay between points."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from typing import Any

import msgspec
import numpy as np

from libs.calendar import Calendar
from libs.core.clock import Clock, SystemClock
from libs.core.errors import Corrupt, Refused
from libs.dbaccess.calendars import load_calendar
from libs.settings import Settings
from libs.strategies.user import load_directory
from libs.trading.columns import Columns
from services.backtest import metrics
from services.backtest.account import make_desk
from services.backtest.bars import DAYS_AT_ONCE_SWEEP, BarsSource, begin_to_read
from services.backtest.collection import without_collection
from services.backtest.data import RunData, take
from services.backtest.equity import Valuation
from services.backtest.form import OUTRIGHT, choose_form, goes_bar_by_bar, make_host, run_form
from services.backtest.loops import make_loop, ticks_of
from services.backtest.outright import Account, Outright
from services.backtest.recorder import RunRecorder
from services.backtest.request import RunRequest
from services.backtest.traded import Traded

DONE, FAILED = "done", "failed"
#: Form, why, what the account did, and what went wrong.
_Done = tuple[str, str, Account, str]


class Plan(msgspec.Struct, frozen=True):
    """What all points of a sweep share; crosses to the workers. `warmup_bars` is the most any point needs."""

    data_root: str
    settings: Settings
    request: RunRequest
    warmup_bars: int


class PointResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one point: a line of the sweep's file. `returns` are daily; `fold` and `trial` a search's."""

    parameters: dict[str, Any]
    state: str
    error: str = ""
    form: str = ""
    why: str = ""
    data_fingerprint: str = ""
    bars: int = 0
    seconds: float = 0.0
    figures: dict[str, float | None] = {}
    returns: tuple[float, ...] = ()
    fold: int = -1
    trial: int = -1

    @property
    def key(self) -> str:
        """Give what makes it this point and no other."""
        return f"{self.fold}:{self.trial}:{point_key(self.parameters)}"

    def figure(self, metric: str) -> float:
        """Give one figure; -inf where there is none, so that it never is the best."""
        value = self.figures.get(metric)
        return -math.inf if value is None or not math.isfinite(value) else value


def point_key(parameters: dict[str, Any]) -> str:
    """Spell parameters the one way."""
    return msgspec.json.encode(parameters, order="sorted").decode()


def branch_of(parameters: dict[str, Any]) -> str:
    """Name the way parameters take through a strategy: a number says how much, anything else, and a 0, which way.

    A form is proved once for each: it is the same code on the same bars for all numbers.
    """
    kinds = {
        name: "number" if isinstance(value, (int, float)) and not isinstance(value, bool) and value else value
        for name, value in parameters.items()
    }
    return point_key(kinds)


def warmup_of(root: str, request: RunRequest, points: tuple[dict[str, Any], ...]) -> int:
    """Give the longest warm-up any of the points needs."""
    calendar = load_calendar(root, request.exchange)
    return max((_warmup(_with(request, point), calendar) for point in points), default=0)


def by_warmup(root: str, request: RunRequest, points: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put points of the same warm-up together: what was computed of the bars behind it serves all of them."""
    calendar = load_calendar(root, request.exchange)
    return sorted(points, key=lambda point: _warmup(_with(request, point), calendar))


class Bench:
    """The data of a plan, loaded once, on which points are run one after the other."""

    def __init__(self, plan: Plan, clock: Clock, bars: BarsSource) -> None:
        """Take the bars that are being read, and be done with their reader."""
        settings, root = plan.settings, plan.data_root
        load_directory(settings.strategies.directory(root))
        self._plan = plan
        self._clock = clock
        self._risk = plan.request.risk(settings.risk)
        self._calendar = load_calendar(root, plan.request.exchange)
        self._bars = bars
        list(self._calendar.sessions(plan.request.start, plan.request.end))  # it keeps them; bars are still read
        with bars:
            columns, warm_up = take(bars, plan.warmup_bars)
            self.load_seconds = bars.bars().seconds
        self._data = RunData(columns, warm_up, (), ())
        beside = ThreadPoolExecutor(1, thread_name_prefix="fingerprint")
        self._fingerprint = beside.submit(lambda: self._data.fingerprint)
        beside.shutdown(wait=False)
        self._outright: Outright | None = None
        #: By the branch of the parameters: what was proved; empty where it was not.
        self._outright_proofs: dict[str, str] = {}
        self._forms: dict[str, tuple[str, str]] = {}
        #: Proofs, and the loop, are for one thread at a time; what follows from a proof is not.
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """Give the hash of every bar, which is worked out beside the first point."""
        return self._fingerprint.result()

    @cached_property
    def _valuation(self) -> Valuation:
        return self._outright.stage.valuation if self._outright else Valuation(self._data.columns)

    @cached_property
    def _timeline(self) -> metrics.Timeline:
        return self._outright.stage.timeline if self._outright else metrics.Timeline(self._valuation.timestamps)

    def evaluate(self, parameters: dict[str, Any]) -> PointResult:
        """Run one point, its parameters complete; one that breaks says so, and the sweep goes on."""
        began_ns = self._clock.monotonic_ns()
        try:
            found = self._run(parameters)
        except Exception as e:  # noqa: BLE001 - a strategy may break in its own ways; the other points are still good
            found = PointResult(parameters=parameters, state=FAILED, error=f"{type(e).__name__}: {e}")
        seconds = (self._clock.monotonic_ns() - began_ns) / 1e9
        return msgspec.structs.replace(found, data_fingerprint=self.fingerprint, seconds=round(seconds, 4))

    def _run(self, parameters: dict[str, Any]) -> PointResult:
        request = _with(self._plan.request, parameters)
        data = self._trimmed(_warmup(request, self._calendar))
        done = self._without_minutes(request, data)
        if done is None:
            with self._lock, without_collection():
                done = self._minute_by_minute(request, data)
        form, why, (deals, trips, worth), error = done
        returns = metrics.daily_returns(worth.evenings, request.cash_paise)
        return PointResult(
            parameters=parameters,
            state=DONE,
            error=error,
            form=form,
            why=why,
            bars=data.bars,
            figures=metrics.overall(worth, self._timeline, deals, trips, request.cash_paise),
            returns=tuple(np.round(returns, 10).tolist()),
        )  # fmt: skip

    def _without_minutes(self, request: RunRequest, data: RunData) -> _Done | None:
        """Work the point out of its wishes alone; None where that was not proved, or a limit might come into play."""
        if goes_bar_by_bar(request):
            return None
        with self._lock:
            outright, proof = self._proved(request, data)
        if outright is None:
            return None
        try:
            return OUTRIGHT, proof, outright.run(request, data), ""
        except Refused:  # the loop knows what to do, or what to complain of
            return None

    def _proved(self, request: RunRequest, data: RunData) -> tuple[Outright | None, str]:
        """Give what works points out, and its proof for parameters of this kind; None where it was not equal."""
        branch = branch_of(request.parameters)
        if branch not in self._outright_proofs:
            self._outright_proofs[branch] = ""  # unless what follows says otherwise
            with suppress(Exception):  # what breaks is not proved: the loop runs it, or says what is wrong with it
                if self._outright is None:
                    self._outright = Outright(request, self._data, self._risk, self._calendar)
                self._outright_proofs[branch] = self._outright.prove(request, data)
        proof = self._outright_proofs[branch]
        return (self._outright if proof else None), proof

    def _minute_by_minute(self, request: RunRequest, data: RunData) -> _Done:
        """Run the loop, in the form that was proved for parameters of this kind."""
        branch = branch_of(request.parameters)
        if branch not in self._forms:
            self._forms[branch] = choose_form(request, data, self._risk, self._calendar)
        form, why = self._forms[branch]
        desk = make_desk(request, data, self._risk)
        recorder = RunRecorder(desk)
        with ticks_of(self._bars.db, request, data) as ticks:
            loop = make_loop(request, desk, self._calendar, ticks)
            faults = list(run_form(form, request, data, loop, recorder, self._calendar).take_faults())
        error = f"{len(faults)} faults of the strategy, first: {faults[0].kind.value}" if faults else ""
        traded, cash_paise = Traded(recorder.traded), request.cash_paise
        worth = metrics.worth_of(self._valuation.blocks(traded.deals, cash_paise), self._timeline, cash_paise)
        trips = metrics.Trips.of(metrics.round_trips(traded.steps), self._timeline.timestamps)
        return form, why, Account(traded.deals, trips, worth), error

    def _trimmed(self, warmup_bars: int) -> RunData:
        """Give the data with the warm-up this point would have been loaded with, and no bar more."""
        if warmup_bars > self._plan.warmup_bars:
            raise Corrupt(f"needs {warmup_bars} bars of warm-up, of which {self._plan.warmup_bars} were loaded")
        warm_up: tuple[Columns, ...] = ()
        if warmup_bars:
            warm_up = tuple(each.part(max(0, len(each) - warmup_bars), len(each)) for each in self._data.warm_up)
        return msgspec.structs.replace(self._data, warm_up=warm_up)


def _with(request: RunRequest, parameters: dict[str, Any]) -> RunRequest:
    return msgspec.structs.replace(request, parameters=parameters)


def _warmup(request: RunRequest, calendar: Calendar) -> int:
    return max(make_host(request, calendar).warmup_needed().values(), default=0)


_lock = threading.Lock()
#: The one bench of this process, behind its plan: a worker keeps its data until it is given another plan.
_kept: list[tuple[Plan, Bench]] = []


def evaluate(plan: Plan, parameters: dict[str, Any], bars: BarsSource | None = None) -> PointResult:
    """Run one point in a worker: of a pool or of a cluster, whose worker may have several threads.

    `bars` are the plan's, where somebody has begun to read them.
    """
    return _bench(plan, bars).evaluate(parameters)


def load_seconds(plan: Plan) -> float:
    """Say how long the data of a plan took to load."""
    return _bench(plan).load_seconds


def _bench(plan: Plan, bars: BarsSource | None = None) -> Bench:
    with _lock:
        # Here a plan is the very same every time, and need not be compared; from afar it comes anew with each point.
        if not _kept or not (_kept[0][0] is plan or _kept[0][0] == plan):
            _kept.clear()
            if bars is None or not bars.serves(plan.request):
                bars = begin_to_read(plan.settings, plan.data_root, plan.request, days_at_once=DAYS_AT_ONCE_SWEEP)
            _kept.append((plan, Bench(plan, SystemClock(), bars)))
        return _kept[0][1]
