"""When an exchange trades: sessions, holidays, special sessions and auctions, as dated data in config/calendar."""

from libs.calendar.broker import BrokerHoliday, BrokerTiming, Merged, merge_broker
from libs.calendar.calendar import Calendar
from libs.calendar.data import CalendarError

__all__ = ["BrokerHoliday", "BrokerTiming", "Calendar", "CalendarError", "Merged", "merge_broker"]
