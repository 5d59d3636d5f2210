"""What the execution engine makes of the settings before it starts."""

from __future__ import annotations

from libs.calendar import Calendar, CalendarError
from libs.orders.fills import FillSettings
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings
from libs.settings.execution import Execution
from services.execution_engine.plans import make_plans

BROKERS = ("paper",)
#: How far the exchange's clock may be from ours on a real market; the simulator plays any day.
SKEW_MAX_US = 60_000_000


def checked(settings: Settings) -> Calendar:
    """Refuse what can never work, before anything is opened; give the exchange's calendar."""
    if settings.execution.broker not in BROKERS:
        raise WrongConfiguration(
            f"execution.broker is {settings.execution.broker!r}; expected one of {', '.join(BROKERS)}"
        )
    make_plans(settings.execution)
    try:
        return Calendar.load(settings.data.exchange)
    except CalendarError as e:
        raise WrongConfiguration(str(e)) from e


def fill_settings(settings: Execution) -> FillSettings:
    """Give how kind the paper market is."""
    return FillSettings(
        slippage_ticks=settings.paper_slippage_ticks, spread_ticks=settings.paper_spread_ticks,
        participation_percent_max=settings.paper_participation_max_percent,
    )  # fmt: skip


def skew_max_us(settings: Settings) -> int:
    """Give the bound on the exchange's clock for a profile; 0 is none."""
    return 0 if settings.profile == "demo" else SKEW_MAX_US
