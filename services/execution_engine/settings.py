"""What the execution engine makes of the settings before it starts."""

from __future__ import annotations

from libs.brokers.registry import BROKERS
from libs.calendar import Calendar, CalendarError
from libs.dbaccess.calendars import FollowedCalendar
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings
from libs.settings.execution import Execution
from services.execution_engine.plans import make_plans

#: How far the exchange's clock may be from ours on a real market; the simulator plays any day.
SKEW_MAX_US = 60_000_000


def checked(settings: Settings) -> Calendar:
    """Refuse what can never work, before anything is opened; give the exchange's calendar."""
    if settings.execution.broker not in BROKERS:
        raise WrongConfiguration(
            f"execution.broker is {settings.execution.broker!r}; expected one of {', '.join(sorted(BROKERS))}"
        )
    if settings.execution.broker == "upstox" and settings.profile not in {"demo", "live"}:
        # Under any other profile the broker's own hosts would be reached without anybody having asked for it.
        raise WrongConfiguration(
            f"execution.broker is 'upstox' under profile {settings.profile!r}; expected profile demo (the simulator) "
            "or live (real money)"
        )
    if settings.profile == "live" and not settings.execution.i_understand_this_trades_real_money:
        raise WrongConfiguration(
            "profile live trades real money: say `fleet up --i-understand-this-trades-real-money`, or set "
            "execution.i_understand_this_trades_real_money"
        )
    make_plans(settings.execution)
    try:
        return FollowedCalendar(settings.data_root, settings.data.exchange)
    except CalendarError as e:
        raise WrongConfiguration(str(e)) from e


def skew_max_us(settings: Settings) -> int:
    """Give the bound on the exchange's clock for a profile; 0 is none."""
    return 0 if settings.profile == "demo" else SKEW_MAX_US


def fills_on_bars(execution: Execution) -> bool:
    """Say whether fills happen on bars, so that a minute's events have one order, in a backtest and here."""
    return execution.broker == "paper" and execution.paper_fill == "next_bar_open"


def lives_on_bars(execution: Execution) -> bool:
    """Say whether bars alone bring time, prices, fills and exits: then ticks change nothing, as in a backtest."""
    return fills_on_bars(execution) and execution.exit_source == "bar"
