"""Old values in our words: times, money, sides, statuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from libs.core.clock import to_us
from libs.core.ids import content_id


class Unfit(ValueError):
    """A value that has no meaning in the new store; says which and why."""


class Context(msgspec.Struct, frozen=True):
    """What the caller says about the old installation."""

    exchange: str
    zone: str


Convert = Callable[[Any, Context], Any]
#: Epochs by their size: seconds, milli-, micro- and nanoseconds.
_EPOCHS = ((1e11, 1_000_000, 1), (1e14, 1000, 1), (1e17, 1, 1), (1e20, 1, 1000))
_SIDES = {"buy": "buy", "b": "buy", "long": "buy", "sell": "sell", "s": "sell", "short": "sell"}
_TYPES = {"market": "market", "mkt": "market", "limit": "limit", "sl": "sl", "stoploss": "sl", "stoplimit": "sl",
          "slm": "sl_m", "stop": "sl_m", "stopmarket": "sl_m"}  # fmt: skip
_PRODUCTS = {"i": "intraday", "mis": "intraday", "intraday": "intraday", "co": "intraday", "d": "delivery",
             "cnc": "delivery", "nrml": "delivery", "delivery": "delivery", "mtf": "delivery"}  # fmt: skip
_STATUSES = {"filled": "filled", "complete": "filled", "completed": "filled", "executed": "filled", "closed": "filled",
             "cancelled": "cancelled", "canceled": "cancelled", "rejected": "rejected", "failed": "rejected",
             "expired": "expired"}  # fmt: skip
_DIRECTIONS = {"bullish": "bullish", "bull": "bullish", "up": "bullish", "long": "bullish", "buy": "bullish",
               "bearish": "bearish", "bear": "bearish", "down": "bearish", "short": "bearish", "sell": "bearish",
               "neutral": "neutral", "none": "neutral", "hold": "neutral", "": "neutral"}  # fmt: skip


def plain(text: object) -> str:
    """Reduce a word to its letters and digits, lower case."""
    return "".join(letter for letter in str(text).lower() if letter.isalnum())


def moment(value: Any, context: Context) -> int:
    """Microseconds since the epoch, from whatever the old installation kept."""
    if isinstance(value, str):
        stripped = value.strip()
        try:
            value = float(stripped) if stripped.replace(".", "", 1).isdigit() else datetime.fromisoformat(stripped)
        except ValueError as e:
            raise Unfit(f"time {value!r} cannot be read") from e
    if isinstance(value, datetime):
        return to_us(value if value.tzinfo else value.replace(tzinfo=ZoneInfo(context.zone)))
    if isinstance(value, date):
        return to_us(datetime(value.year, value.month, value.day, tzinfo=ZoneInfo(context.zone)))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for limit, factor, divisor in _EPOCHS:
            if 1e8 <= abs(value) < limit:
                return round(value * factor) if isinstance(value, float) else value * factor // divisor
    raise Unfit(f"time {value!r} cannot be read")


def text(value: Any, _context: Context) -> str:
    return str(value).strip()


def exchange(value: Any, context: Context) -> str:
    name = str(value).lower().split("_")[0]
    return name or context.exchange


def number(value: Any, _context: Context) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as e:
        raise Unfit(f"{value!r} is no number") from e


def price(value: Any, context: Context) -> float | None:
    found = number(value, context)
    return found if found > 0 else None


def whole(value: Any, context: Context) -> int:
    found = number(value, context)
    if found != int(found):
        raise Unfit(f"{value!r} is no whole number")
    return abs(int(found))


def paise(value: Any, _context: Context) -> int:
    """Rupees to whole paise, exactly: a binary fraction is taken by its shortest spelling."""
    try:
        return int((Decimal(str(value)) * 100).to_integral_value())
    except (InvalidOperation, ValueError) as e:
        raise Unfit(f"{value!r} is no amount of money") from e


def share(value: Any, context: Context) -> float:
    """A share of one; percent are taken for what they are."""
    found = number(value, context)
    found = found / 100 if abs(found) > 1 else found
    if not -1 <= found <= 1:
        raise Unfit(f"{value!r} is neither a share nor percent")
    return found


def confidence(value: Any, context: Context) -> float:
    return abs(share(value, context))


def milliseconds(value: Any, context: Context) -> int:
    return max(0, round(number(value, context) * 1000))


def name_of_order(value: Any, _context: Context) -> str:
    name = str(value).strip()
    return name if 0 < len(name) <= 40 else f"legacy-{content_id(name)}"


def flag(value: Any, _context: Context) -> int:
    return int(str(value).lower() not in {"0", "false", "f", "no", ""})


def word(table: Mapping[str, str], what: str) -> Convert:
    """Make a converter of words; one that is not in the table is unfit."""

    def convert(value: Any, _context: Context) -> str:
        if (found := table.get(plain(value))) is None:
            raise Unfit(f"{what} {value!r} is none we know")
        return found

    return convert


side = word(_SIDES, "side")
order_type = word(_TYPES, "order type")
product = word(_PRODUCTS, "product")
direction = word(_DIRECTIONS, "direction")


def status(value: Any, _context: Context) -> str:
    """A closed order's status; whatever was open in an installation that no longer runs has lapsed."""
    return _STATUSES.get(plain(value), "expired")


def status_reason(value: Any, _context: Context) -> str:
    return f"migrated; was {str(value)!r} in the old installation"


def argon2(value: Any, _context: Context) -> str | None:
    """Keep a password only if the new store can check it; the others need a new one."""
    return str(value) if str(value).startswith("$argon2") else None
