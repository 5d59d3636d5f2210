"""Which form of a strategy a run uses: the vectorised one only where it did the same on a sample of the bars."""

from __future__ import annotations

from collections.abc import Callable

from libs.calendar import Calendar
from libs.settings.risk import Risk
from libs.trading.columns import Columns
from libs.trading.loop import TradingLoop
from libs.trading.replay import Recorder, replay
from libs.trading.sparse import replay_sparse
from libs.trading.strategy_host import StrategyHost
from libs.trading.vector_host import VectorHost
from services.backtest.account import make_desk
from services.backtest.data import RunData
from services.backtest.recorder import RunRecorder
from services.backtest.request import NEXT_TICK, RunRequest

EVENT, VECTORISED, OUTRIGHT = "event", "vectorised", "outright"
#: The sample: so many symbols, so many bars of each from the run's beginning.
SAMPLE_SYMBOLS, SAMPLE_BARS = 3, 2000


def make_host(request: RunRequest, calendar: Calendar, kind: type[StrategyHost] = StrategyHost) -> StrategyHost:
    """Make a host as it runs live, without a clock: time is not the same twice."""
    return kind(request.instances(), sessions=calendar.session, daily_anchor=request.daily_anchor)


def run_form(
    form: str, request: RunRequest, data: RunData, loop: TradingLoop, recorder: Recorder, calendar: Calendar,
    keep_going: Callable[[], bool] = lambda: True,
) -> StrategyHost:  # fmt: skip
    """Run the bars in a form; give the host, which knows what went wrong."""
    if form == VECTORISED:
        host = make_host(request, calendar, VectorHost)
        assert isinstance(host, VectorHost)
        host.prepare(data.columns, data.warm_up)
        replay_sparse(
            data.columns, host, loop, recorder, strategy_id=request.instance, product=request.product,
            timeframe=request.timeframe, exchange=request.exchange, keep_going=keep_going,
        )  # fmt: skip
        return host
    plain = make_host(request, calendar)
    plain.warm_up(bar for part in data.warm_up for bar in part.bars(request.timeframe, request.exchange))
    replay(
        data.columns, plain, loop, recorder, timeframe=request.timeframe, exchange=request.exchange,
        keep_going=keep_going,
    )  # fmt: skip
    return plain


def choose_form(request: RunRequest, data: RunData, risk: Risk, calendar: Calendar) -> tuple[str, str]:
    """Give the form to use and why: `vectorised` when the strategy has one that is equal on the sample."""
    if why := goes_bar_by_bar(request):
        return EVENT, why
    host = make_host(request, calendar, VectorHost)
    assert isinstance(host, VectorHost)
    sample = sample_of(data)
    if not host.prepare(sample.columns, sample.warm_up):
        return EVENT, f"{request.strategy} has no vectorised form"
    outcomes = []
    for form in (EVENT, VECTORISED):
        desk = make_desk(request, sample, risk)
        recorder = RunRecorder(desk)
        run_form(form, request, sample, TradingLoop(desk, request.fills, calendar.session), recorder, calendar)
        outcomes.append((recorder.signals, recorder.decisions, recorder.fills, desk.equity_paise))
    if outcomes[0] != outcomes[1]:
        return EVENT, "its vectorised form was not equal on a sample of these bars"
    return VECTORISED, f"equal on {sample.bars} bars: {len(outcomes[0][0])} signals, {len(outcomes[0][2])} fills"


def goes_bar_by_bar(request: RunRequest) -> str:
    """Say why a request can have no other form; empty where it can."""
    if request.form == EVENT:
        return "asked for"
    if request.timeframe == "1d" or request.fill == NEXT_TICK:
        return "day bars, and fills on ticks, go bar by bar"
    if request.beside or request.overrides or request.name:
        return "it is a strategy of the fleet, with a name, company or limits of its own"
    return ""


def sample_of(data: RunData) -> RunData:
    """Give the beginning of the first symbols, on which forms are compared."""
    columns = tuple(each.part(0, SAMPLE_BARS) for each in data.columns[:SAMPLE_SYMBOLS])
    names = {each.symbol for each in columns}
    warm_up: tuple[Columns, ...] = tuple(each for each in data.warm_up if each.symbol in names)
    return RunData(columns, warm_up, (), ())
