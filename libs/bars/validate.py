"""What may become a tick at all. A tick that may not is kept in quarantine with its figures, never in a bar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from enum import StrEnum
from math import isfinite

import msgspec

from libs.contracts.market import Tick
from libs.core.clock import US_PER_DAY, US_PER_SECOND, day_start_us

#: More than any exchange trades, and so far below a store's largest number that a day of them adds up.
_VOLUME_MAX = 10**13


class Reason(StrEnum):
    """Why a tick is in quarantine."""

    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    NEGATIVE_VOLUME = "negative_volume"
    ABSURD_VOLUME = "absurd_volume"
    JUMP = "jump"
    FUTURE = "future"
    OTHER_DAY = "other_day"
    UNKNOWN_INSTRUMENT = "unknown_instrument"


class Quarantined(msgspec.Struct, frozen=True):
    """A refused tick, why, and the figures that show it."""

    reason: Reason
    tick: Tick
    detail: str


class TickValidator:
    """Checks each tick against itself, its symbol's last price and the session's clock; counts what it refuses.

    A jump that repeats is the market, not a stray: after `jump_repeats` refusals in a row near one price it passes.
    An earlier day's trade time is right for a symbol that has not traded today, and refused once it has.
    """

    def __init__(
        self,
        *,
        known: Callable[[str], bool],
        day: date,
        jump_max: float = 0.25,
        jump_repeats: int = 3,
        future_tolerance_us: int = 5 * US_PER_SECOND,
    ) -> None:
        self.known = known
        self.jump_max = jump_max
        self.jump_repeats = jump_repeats
        self.future_tolerance_us = future_tolerance_us
        self.counts: Counter[Reason] = Counter()
        self._price: dict[str, float] = {}
        self._jumped: dict[str, tuple[float, int]] = {}
        self.start_day(day)

    def start_day(self, day: date) -> None:
        """Begin a trading date. Last prices stay: an opening gap is measured too."""
        self._day_start_us = day_start_us(day)
        self._day_end_us = self._day_start_us + US_PER_DAY
        self._traded: set[str] = set()

    def check(self, tick: Tick, session_now_us: int) -> Quarantined | None:
        """Give None for a tick that may pass, else why it may not."""
        price = tick.price
        at_us = tick.timestamp_us
        last = self._price.get(tick.symbol)
        # An ordinary tick leaves here; NaN fails every comparison and goes on.
        if (
            last is not None
            and abs(price - last) <= last * self.jump_max
            and self._day_start_us <= at_us <= session_now_us + self.future_tolerance_us
            and at_us < self._day_end_us
            and 0 <= tick.volume_day <= _VOLUME_MAX
            and (tick.bid is None or tick.bid >= 0)
            and (tick.ask is None or tick.ask >= 0)
        ):
            self._price[tick.symbol] = price
            self._traded.add(tick.symbol)
            if self._jumped:
                self._jumped.pop(tick.symbol, None)
            return None
        found = self._find(tick, last, session_now_us)
        if found is None:
            self._price[tick.symbol] = price
            if at_us >= self._day_start_us:
                self._traded.add(tick.symbol)
            return None
        reason, detail = found
        self.counts[reason] += 1
        return Quarantined(reason, tick, detail)

    def _find(self, tick: Tick, last: float | None, session_now_us: int) -> tuple[Reason, str] | None:
        prices = [figure for figure in (tick.price, tick.bid, tick.ask) if figure is not None]
        if not all(map(isfinite, prices)):
            return Reason.NOT_FINITE, f"price {tick.price}, bid {tick.bid}, ask {tick.ask}"
        if tick.price <= 0 or min(prices) < 0:
            return Reason.NOT_POSITIVE, f"price {tick.price}, bid {tick.bid}, ask {tick.ask}"
        if tick.volume_day < 0:
            return Reason.NEGATIVE_VOLUME, f"volume of the day {tick.volume_day}"
        if tick.volume_day > _VOLUME_MAX:
            return Reason.ABSURD_VOLUME, f"volume of the day {tick.volume_day}, more than {_VOLUME_MAX}"
        if last is None and not self.known(tick.symbol):
            return Reason.UNKNOWN_INSTRUMENT, f"{tick.symbol!r} is no instrument we subscribed to"
        return self._wrong_time(tick, session_now_us) or self._jump(tick, last)

    def _wrong_time(self, tick: Tick, session_now_us: int) -> tuple[Reason, str] | None:
        at_us = tick.timestamp_us
        if at_us > session_now_us + self.future_tolerance_us:
            return Reason.FUTURE, f"traded {(at_us - session_now_us) / 1e6:.3f} s after the session's clock"
        if at_us >= self._day_end_us or (at_us < self._day_start_us and tick.symbol in self._traded):
            return Reason.OTHER_DAY, f"traded at {at_us}, outside the trading date that began at {self._day_start_us}"
        return None

    def _jump(self, tick: Tick, last: float | None) -> tuple[Reason, str] | None:
        if last is None or abs(tick.price - last) <= last * self.jump_max:
            return None
        near, times = self._jumped.get(tick.symbol, (tick.price, 0))
        times = times + 1 if abs(tick.price - near) <= near * self.jump_max else 1
        if times > self.jump_repeats:
            del self._jumped[tick.symbol]
            return None
        self._jumped[tick.symbol] = (tick.price, times)
        return Reason.JUMP, f"price {tick.price} after {last}, more than {self.jump_max:.0%} away"
