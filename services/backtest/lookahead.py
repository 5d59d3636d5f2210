"""Does a strategy know the future? Its signals on data cut short, compared with those on the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from libs.calendar import Calendar
from libs.contracts.signals import SignalEvent
from libs.core.errors import Refused
from libs.dbaccess import DatabaseManager
from libs.dbaccess.calendars import load_calendar
from libs.settings.risk import Risk
from libs.strategies import registry
from libs.strategies.interface import BaseStrategy
from libs.trading.strategy_host import StrategyHost, StrategyInstance
from libs.trading.strategy_slot import WARMUP_BARS_MAX
from libs.trading.vector_host import VectorHost
from libs.trading.warmup import WarmupSensitivity, warmup_sensitivity
from services.backtest.account import make_desk
from services.backtest.data import RunData, load_data
from services.backtest.form import EVENT, VECTORISED, make_host, run_form
from services.backtest.loops import make_loop
from services.backtest.recorder import RunRecorder
from services.backtest.request import RunRequest

_SHOWN_MAX = 20
_WARMUP_FACTORS = (0.5, 1.0, 2.0, 4.0)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that is not the same once later bars are gone. `what`: vanished, appeared or changed."""

    form: str
    what: str
    symbol: str
    signal_type: str
    bar_us: int
    #: The last bar the shortened data had.
    cut_us: int


class Lookahead(msgspec.Struct, frozen=True, kw_only=True):
    """`knows_future` when any signal before a cut depends on bars behind it.

    `repeats` is False when the same bars gave other signals a second time: then the strategy keeps something between
    runs, which is a way to know the future, too. `signals` of 0: nothing was compared, and nothing is proved.
    """

    strategy: str
    forms: tuple[str, ...]
    signals: int
    cuts: int
    differing: int
    differences: tuple[Difference, ...]
    repeats: bool

    @property
    def knows_future(self) -> bool:
        """Whether it was caught."""
        return self.differing > 0 or not self.repeats


_Named = dict[tuple[str, int, str, int], SignalEvent]


def look_ahead(db: DatabaseManager, request: RunRequest, *, cuts: int = 10) -> Lookahead:
    """Run every form the strategy has on the whole and on shortened data.

    Half of the cuts fall right behind a signal, where a strategy that peeks even one bar must lose or change it; the
    others are evenly spread, for signals that only appear on shortened data.
    """
    if cuts < 2:
        raise Refused(f"{cuts} cuts; at least 2")
    calendar, risk = load_calendar(db.layout.root, request.exchange), request.risk(db.settings.risk)
    data = load_data(db, request, max(make_host(request, calendar).warmup_needed().values(), default=0))
    probe = make_host(request, calendar, VectorHost)
    assert isinstance(probe, VectorHost)
    forms = (EVENT, VECTORISED) if probe.prepare(data.columns, data.warm_up) else (EVENT,)
    differences: list[Difference] = []
    signals = tried = 0
    repeats = True
    for form in forms:
        whole = _signals(form, request, data, risk, calendar)
        signals += len(whole)
        for cut_us in _cuts(data, whole, cuts):
            tried += 1
            short = _signals(form, request, _before(data, cut_us), risk, calendar)
            expected = {name: signal for name, signal in whole.items() if signal.timestamp_us <= cut_us}
            differences += _compare(form, expected, short, cut_us)
        repeats = repeats and _signals(form, request, data, risk, calendar) == whole
    return Lookahead(
        strategy=request.strategy, forms=forms, signals=signals, cuts=tried, differing=len(differences),
        differences=tuple(differences[:_SHOWN_MAX]), repeats=repeats,
    )  # fmt: skip


def warm_up_check(db: DatabaseManager, request: RunRequest) -> WarmupSensitivity:
    """Compare the signals after half, once, twice and four times the warm-up the strategy says it needs."""
    calendar = load_calendar(db.layout.root, request.exchange)
    needed = max(make_host(request, calendar).warmup_needed().values(), default=0)
    wanted = sorted({min(int(needed * factor), WARMUP_BARS_MAX) for factor in _WARMUP_FACTORS})
    data = load_data(db, request, wanted[-1])
    # A day that begins with fewer bars than a length asks for would miss signals for want of data.
    there = min((len(each) for each in data.warm_up), default=0) if len(data.warm_up) == len(data.columns) else 0
    lengths = [length for length in wanted if length <= there]
    if len(lengths) < 2:
        raise Refused(
            f"{there} bars before {request.start} where {wanted[-1]} would show most and {wanted[1:2] or wanted} at "
            f"least are needed; begin later, or the strategy needs no warm-up"
        )
    return warmup_sensitivity({length: _with_warmup(request, data, length, calendar) for length in lengths})


def _with_warmup(request: RunRequest, data: RunData, bars: int, calendar: Calendar) -> list[SignalEvent]:
    def find(name: str) -> type[BaseStrategy[Any]]:
        kind = registry.find(name)
        return type(kind.__name__, (kind,), {"warmup_bars": bars})

    instance = StrategyInstance(
        strategy=request.strategy, symbols=request.symbols, timeframe=request.timeframe, exchange=request.exchange,
        parameters=request.parameters,
    )  # fmt: skip
    host = StrategyHost([instance], sessions=calendar.session, daily_anchor=request.daily_anchor, find=find)
    host.warm_up(bar for part in data.warm_up for bar in part.bars(request.timeframe, request.exchange))
    found: list[SignalEvent] = []
    for part in data.columns:
        for bar in part.bars(request.timeframe, request.exchange):
            found += host.on_bars([bar])
    return found


def _signals(form: str, request: RunRequest, data: RunData, risk: Risk, calendar: Calendar) -> _Named:
    desk = make_desk(request, data, risk)
    recorder = RunRecorder(desk)
    run_form(form, request, data, make_loop(request, desk, calendar), recorder, calendar)
    return {(s.symbol, s.timestamp_us, s.signal_type.value, s.leg): s for s in recorder.signals}


def _cuts(data: RunData, whole: _Named, count: int) -> list[int]:
    """Choose the last bars of the shortened data."""
    stamps = np.unique(np.concatenate([each.timestamps for each in data.columns]))
    said = np.unique(np.array([signal.timestamp_us for signal in whole.values()], dtype=np.int64))
    spread = stamps[np.linspace(0, len(stamps) - 1, count // 2 + 2).astype(int)[1:-1]]
    behind = said[np.linspace(0, len(said) - 1, min(len(said), count - count // 2)).astype(int)] if len(said) else said
    return [int(each) for each in np.unique(np.concatenate([spread, behind]))]


def _before(data: RunData, cut_us: int) -> RunData:
    parts = (each.part(0, int(np.searchsorted(each.timestamps, cut_us, side="right"))) for each in data.columns)
    return msgspec.structs.replace(data, columns=tuple(part for part in parts if len(part)))


def _compare(form: str, expected: _Named, short: _Named, cut_us: int) -> Sequence[Difference]:
    found = []
    for name in sorted(expected.keys() | short.keys()):
        if expected.get(name) == short.get(name):
            continue
        what = "vanished" if name not in short else "appeared" if name not in expected else "changed"
        found.append(
            Difference(form=form, what=what, symbol=name[0], signal_type=name[2], bar_us=name[1], cut_us=cut_us)
        )
    return found
