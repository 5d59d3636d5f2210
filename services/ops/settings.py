"""What ops makes of the settings before it starts."""

from __future__ import annotations

from libs.calendar import Calendar, CalendarError
from libs.dbaccess.calendars import FollowedCalendar
from libs.runtime.process import WrongConfiguration
from libs.runtime.telling import Address, read_addresses
from libs.settings import Settings


def checked(settings: Settings) -> tuple[Calendar, list[Address]]:
    """Give the calendar and the addresses alerts go to."""
    try:
        calendar = FollowedCalendar(settings.data_root, settings.data.exchange)
    except CalendarError as e:
        raise WrongConfiguration(str(e)) from e
    return calendar, read_addresses(settings.ops.alert_urls_file)
