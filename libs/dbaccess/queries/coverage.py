"""What a query found and what it did not: trading days asked for, found and missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from libs.calendar import Calendar
from libs.dbaccess.queries.plan import DayPlan
from libs.dbaccess.queries.request import Request

_SATURDAY = 5


@dataclass(frozen=True)
class Coverage:
    """Days (IST) of one request. `sources` says where each found day is read: hot, archive or live.

    A day is found when there is a file or a snapshot of it; whether a symbol traded in it is another question.
    """

    exchange: str
    data_type: str
    timeframe: str | None
    asked: tuple[date, ...]
    found: tuple[date, ...]
    missing: tuple[date, ...]
    sources: dict[date, str]

    @property
    def is_complete(self) -> bool:
        """Whether every trading day asked for is there."""
        return not self.missing


def cover(
    request: Request, plans: Sequence[DayPlan], today: date, sessions: Callable[[str], Calendar | None]
) -> Coverage:
    """Compare the plan with the exchange's trading days; without a calendar, with the weekdays.

    Days to come are not missing, and neither are days before the first one found when the start was left open.
    """
    sources = {plan.day: plan.source.place.value for plan in plans}
    first = min(sources, default=today) if request.start_is_open else request.first_day
    last = min(request.last_day, today)
    calendar = sessions(request.exchange)
    expected = calendar.trading_days(first, last) if calendar else _weekdays(first, last)
    asked = tuple(sorted({*expected, *sources})) if not request.is_empty else ()
    return Coverage(
        request.exchange,
        request.data_type,
        request.timeframe,
        asked=asked,
        found=tuple(sorted(sources)),
        missing=tuple(day for day in asked if day not in sources),
        sources=sources,
    )


def _weekdays(first: date, last: date) -> list[date]:
    days = ((first + timedelta(days=count)) for count in range((last - first).days + 1))
    return [day for day in days if day.weekday() < _SATURDAY]
