"""What the scanner makes of the settings before it starts."""

from __future__ import annotations

from libs.calendar import Calendar, CalendarError
from libs.dbaccess.calendars import FollowedCalendar
from libs.runtime.process import WrongConfiguration
from libs.scanners.user import load_directory as load_scans
from libs.settings import Settings
from libs.strategies import registry
from libs.strategies.user import Broken, load_directory


def checked(settings: Settings) -> tuple[Calendar, tuple[Broken, ...]]:
    """Load the user's strategies and scans and refuse defaults that do not exist; give the calendar and what is broken.

    A broken file of the user's stops nobody: it is reported, and whatever names its strategy is a fault of its own.
    """
    broken = load_directory(settings.strategies.directory(settings.data_root)).broken
    broken += load_scans(settings.scanner.scans_directory(settings.data_root)).broken
    unknown = [name for name in settings.scanner.strategies if name not in registry.names()]
    if unknown and not broken:
        raise WrongConfiguration(
            f"scanner.strategies names {', '.join(unknown)}; there are {', '.join(registry.names())}"
        )
    try:
        return FollowedCalendar(settings.data_root, settings.data.exchange), broken
    except CalendarError as e:
        raise WrongConfiguration(str(e)) from e
