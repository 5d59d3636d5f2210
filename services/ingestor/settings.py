"""What the ingestor makes of the settings before it starts."""

from __future__ import annotations

from libs.calendar import Calendar, CalendarError
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings
from libs.upstox.hosts import WrongHost, resolve_hosts

#: How far the exchange's clock may be from ours on a real market; the simulator plays any day.
SKEW_MAX_US = 300_000_000


def checked(settings: Settings) -> Calendar:
    """Refuse what can never work, before anything is opened; give the exchange's calendar."""
    try:
        resolve_hosts(settings)
        return Calendar.load(settings.data.exchange)
    except (WrongHost, CalendarError) as e:
        raise WrongConfiguration(str(e)) from e


def skew_max_us(settings: Settings) -> int:
    """Give the bound on the exchange's clock for a profile; 0 is none."""
    return 0 if settings.profile == "demo" else SKEW_MAX_US
