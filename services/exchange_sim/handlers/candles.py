"""History as the V3 API serves it: which unit goes back how far, and that nothing of the future is in it."""

from __future__ import annotations

from datetime import date

from libs.core.errors import Refused
from services.exchange_sim.market.candles import Candle, resample_days, resample_minutes
from services.exchange_sim.market.instruments import Instrument
from services.exchange_sim.market.market import Market
from services.exchange_sim.market.sessions import date_of

#: Unit -> longest interval, earliest date.
UNITS = {
    "minutes": (300, date(2022, 1, 1)),
    "hours": (5, date(2022, 1, 1)),
    "days": (1, date(2000, 1, 1)),
    "weeks": (1, date(2000, 1, 1)),
    "months": (1, date(2000, 1, 1)),
}


def past_candles(
    market: Market, instrument: Instrument, unit: str, interval: int, first: date, last: date
) -> list[Candle]:
    """Give the candles of dates before today, oldest first; refuse a span longer than the broker serves at once."""
    earliest = _earliest(unit, interval)
    if first > last:
        raise Refused(f"from {first} is after to {last}; the path is …/{{to}}/{{from}}")
    span_max = _span_max(unit, interval)
    if span_max and (last - first).days > span_max:
        raise Refused(f"{(last - first).days} days asked for; {unit}/{interval} is served {span_max} days at a time")
    now_ms = market.now_ms()
    yesterday = date.fromordinal(date_of(now_ms).toordinal() - 1)
    days = market.days.between(max(first, earliest), min(last, yesterday))
    if unit in {"minutes", "hours"}:
        minutes = interval * (60 if unit == "hours" else 1)
        return [candle for day in days for candle in resample_minutes(market.minutes(instrument, day, now_ms), minutes)]
    candles = [candle for day in days if (candle := market.day(instrument, day, now_ms))]
    return candles if unit == "days" else resample_days(candles, unit)


def intraday_candles(market: Market, instrument: Instrument, unit: str, interval: int) -> list[Candle]:
    """Give today's complete candles, oldest first; a longer one is there as soon as its first minute is."""
    _earliest(unit, interval)
    now_ms = market.now_ms()
    today = date_of(now_ms)
    if unit == "days":
        candle = market.day(instrument, today, now_ms)
        return [candle] if candle else []
    if unit not in {"minutes", "hours"}:
        raise Refused(f"unit {unit!r} is not served intraday; expected minutes, hours or days")
    minutes = interval * (60 if unit == "hours" else 1)
    return resample_minutes(market.minutes(instrument, today, now_ms), minutes)


def _earliest(unit: str, interval: int) -> date:
    if unit not in UNITS:
        raise Refused(f"unit is {unit!r}; expected one of {', '.join(UNITS)}")
    longest, earliest = UNITS[unit]
    if not 1 <= interval <= longest:
        raise Refused(f"interval is {interval}; {unit} go from 1 to {longest}")
    return earliest


def _span_max(unit: str, interval: int) -> int | None:
    """Give the longest span of a request in days: a month, a quarter, a decade, or none."""
    if unit == "minutes" and interval <= 15:
        return 31
    return {"minutes": 92, "hours": 92, "days": 3653}.get(unit)
