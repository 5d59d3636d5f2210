"""From what a caller calls a moment to the half-open interval [start, end) in microseconds."""

from __future__ import annotations

from datetime import date, datetime
from operator import index
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

from libs.core.clock import day_start_us, to_us
from libs.core.errors import Refused

if TYPE_CHECKING:
    import numpy as np

#: Aware datetime, naive datetime (IST), date (its midnight, IST), ISO text of either, or microseconds since the epoch.
type_of_moment = "a datetime (naive means IST), a date, ISO text, or integer microseconds since the epoch"
Moment: TypeAlias = "datetime | date | str | SupportsIndex | np.datetime64"

#: Bounds beyond these are brought back to them: no market data lies outside, and no calendar overflows inside.
EARLIEST_US = day_start_us(date(1900, 1, 1))
LATEST_US = day_start_us(date(2200, 1, 1))


class BadBounds(Refused, ValueError):
    """The interval asked for cannot be understood, or ends before it starts."""


def to_interval(start: Moment | None, end: Moment | None) -> tuple[int, int]:
    """Give [start, end) in microseconds; None leaves that side open. Raise `BadBounds` when start lies after end."""
    start_us = EARLIEST_US if start is None else moment_us(start, "start")
    end_us = LATEST_US if end is None else moment_us(end, "end")
    if start_us > end_us:
        raise BadBounds(f"start {start!r} lies after end {end!r}; the interval is [start, end)")
    return start_us, end_us


def moment_us(moment: Moment, name: str = "moment") -> int:
    """Turn one bound into microseconds since the epoch."""
    try:
        found = _exact_us(moment)
    except (ValueError, TypeError, OverflowError) as e:
        raise BadBounds(f"{name} {moment!r}: expected {type_of_moment}") from e
    return min(max(found, EARLIEST_US), LATEST_US)


def _exact_us(moment: Moment) -> int:
    if isinstance(moment, str):
        moment = _from_text(moment.strip())
    elif not isinstance(moment, (date, int)):
        import numpy as np  # whoever gives an instant of its kind has imported it

        if isinstance(moment, np.datetime64):
            moment = moment.astype("datetime64[us]").item()  # None for NaT, refused below
    if isinstance(moment, datetime):
        if moment != moment:  # noqa: PLR0124  pandas' NaT calls itself a datetime
            raise ValueError("not a time")
        return to_us(moment)
    if isinstance(moment, date):
        return day_start_us(moment)
    if isinstance(moment, bool):
        raise TypeError("a truth value is no time")
    return index(moment)  # type: ignore[arg-type]  # anything that is no integer raises TypeError here


def _from_text(text: str) -> datetime | date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
