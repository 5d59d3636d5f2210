"""What the backtest service makes of the settings before it starts."""

from __future__ import annotations

from libs.calendar import CalendarError
from libs.dbaccess.calendars import load_calendar
from libs.runtime.process import WrongConfiguration
from libs.settings import Settings


def check(settings: Settings) -> None:
    """Refuse what can never work, before anything is opened."""
    try:
        load_calendar(settings.data_root, settings.data.exchange)
    except CalendarError as e:
        raise WrongConfiguration(str(e)) from e
