"""What the ingestor makes of the settings before it starts."""

from __future__ import annotations

from libs.calendar import Calendar, CalendarError
from libs.dbaccess.calendars import load_calendar
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings
from libs.upstox.hosts import WrongHost, resolve_hosts
from services.ingestor.recording import check_recording

#: How far the exchange's clock may be from ours on a real market; the simulator plays any day.
SKEW_MAX_US = 300_000_000
_NEVER_US = 10**15


def checked(settings: Settings) -> Calendar:
    """Refuse what can never work, before anything is opened; give the exchange's calendar."""
    try:
        if settings.ingestor.feed == "replay":
            check_recording(settings)
        else:
            resolve_hosts(settings)
        return load_calendar(settings.data_root, settings.data.exchange)
    except (WrongHost, CalendarError) as e:
        raise WrongConfiguration(str(e)) from e


def skew_max_us(settings: Settings) -> int:
    """Give the bound on the exchange's clock; 0 is none: simulated and recorded days are of any date."""
    return 0 if settings.profile == "demo" or settings.ingestor.feed == "replay" else SKEW_MAX_US


def silence_us(settings: Settings) -> int:
    """Give how long the session's clock stands still without frames; in a recording it moves with its ticks only."""
    return _NEVER_US if settings.ingestor.feed == "replay" else settings.ingestor.silence_ms * 1000
