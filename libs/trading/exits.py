"""When a position must go: stop, target, trailing stop, time, square-off. The same on ticks and on bars.

A bar is judged by the path that is worst for us: what is already over at its open leaves at the open, a gap through a
stop included; then the stop, then the target. A trailing stop moves after a bar, never within it, for the bar does
not say whether its high or its low came first.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from libs.contracts.market import OHLCVBar
from libs.core.clock import US_PER_MINUTE
from libs.core.money import Rounding, round_to_tick

NotNegative = Annotated[float, Meta(ge=0)]
NEVER_US = 1 << 62


class ExitReason(StrEnum):
    """Why a position left."""

    STOP = "stop"
    TRAILING_STOP = "trailing_stop"
    TARGET = "target"
    TIME = "time"
    SQUARE_OFF = "square_off"
    SIGNAL = "signal"
    OPPOSING_SIGNAL = "opposing_signal"
    FLATTEN = "flatten"


class ExitRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strategy's exits; 0 switches one off. Prices a signal brings (stop, target) win over percentages."""

    stop_percent: NotNegative = 0.0
    target_percent: NotNegative = 0.0
    trail_percent: NotNegative = 0.0
    stop_atr: NotNegative = 0.0
    target_atr: NotNegative = 0.0
    trail_atr: NotNegative = 0.0
    time_min: Annotated[int, Meta(ge=0)] = 0
    square_off: bool = True

    @property
    def has_prices(self) -> bool:
        """Whether a stop, a target or a trailing stop follows from them."""
        return bool(
            self.stop_percent or self.target_percent or self.trail_percent
            or self.stop_atr or self.target_atr or self.trail_atr
        )  # fmt: skip


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """What guards one position. `trail` is the distance the stop keeps from the best price; 0: it stays."""

    is_long: bool
    tick_size: float
    best: float
    stop: float | None = None
    target: float | None = None
    trail: float = 0.0
    is_trailed: bool = False
    time_us: int = NEVER_US
    square_off_us: int = NEVER_US

    @property
    def is_idle(self) -> bool:
        """Nothing can ever come of judging it."""
        return self.stop is None and self.target is None and self.time_us == self.square_off_us == NEVER_US

    def may_act(self, at_us: int) -> bool:
        """Whether judging a bar that begins at an instant can come to anything."""
        return self.stop is not None or self.target is not None or at_us >= self.square_off_us or at_us >= self.time_us


class Exit(NamedTuple):
    """Leave now; `price` is what there was to be had, before slippage."""

    reason: ExitReason
    price: float
    is_at_open: bool = False


def protect(
    rules: ExitRules,
    *,
    is_long: bool,
    price: float,
    at_us: int,
    tick_size: float,
    stop: float | None = None,
    target: float | None = None,
    atr: float | None = None,
    square_off_us: int = NEVER_US,
) -> Protection:
    """Set up the guard of a position that was entered at a price."""
    if stop is None and target is None and not rules.has_prices:
        return Protection(
            is_long=is_long, tick_size=tick_size, best=price,
            time_us=at_us + rules.time_min * US_PER_MINUTE if rules.time_min else NEVER_US,
            square_off_us=square_off_us if rules.square_off else NEVER_US,
        )  # fmt: skip
    away = -1 if is_long else 1
    stop_distance = _distance(price, rules.stop_percent, rules.stop_atr, atr)
    target_distance = _distance(price, rules.target_percent, rules.target_atr, atr)
    trail = _distance(price, rules.trail_percent, rules.trail_atr, atr)
    # A stop is rounded to the side on which it acts earlier; a target to the side on which it is harder to reach.
    near = Rounding.UP if is_long else Rounding.DOWN
    if stop is None and stop_distance:
        stop = max(round_to_tick(price + away * stop_distance, tick_size, near), 0.0)
    if target is None and target_distance:
        target = max(round_to_tick(price - away * target_distance, tick_size, near), 0.0)
    guard = Protection(
        is_long=is_long, tick_size=tick_size, best=price, stop=stop, target=target, trail=trail,
        time_us=at_us + rules.time_min * US_PER_MINUTE if rules.time_min else NEVER_US,
        square_off_us=square_off_us if rules.square_off else NEVER_US,
    )  # fmt: skip
    return _trailed(guard, price)


def is_pulled(guard: Protection) -> bool:
    """Whether its stop is where the trail pulled it; else it is still the one it was set up with."""
    return bool(guard.trail) and guard.stop == _trailed(msgspec.structs.replace(guard, stop=None), guard.best).stop


def on_tick(guard: Protection, price: float, at_us: int) -> tuple[Protection, Exit | None]:
    """Judge one price: whatever it reaches leaves at it, and it moves the trailing stop."""
    if found := _at_price(guard, price, at_us):
        return guard, found
    return _trailed(guard, price), None


def on_bar(guard: Protection, bar: OHLCVBar, *, is_filled_inside: bool = False) -> tuple[Protection, Exit | None]:
    """Judge one bar. `is_filled_inside`: the position was entered after the bar's open, so of what happened in the
    bar only the stop counts, for the high may have been before the entry.
    """
    if is_filled_inside:
        found = _stopped(guard, bar)
        return (guard, found) if found else (guard, None)
    if found := _at_price(guard, bar.open, bar.timestamp_us):
        return guard, found._replace(is_at_open=True)
    if found := _stopped(guard, bar):
        return guard, found
    best = bar.high if guard.is_long else bar.low
    if guard.target is not None and _reaches(guard.is_long, best, guard.target):
        return guard, Exit(ExitReason.TARGET, guard.target)
    return _trailed(guard, best), None


def _at_price(guard: Protection, price: float, at_us: int) -> Exit | None:
    if guard.stop is not None and _reaches(not guard.is_long, price, guard.stop):
        return Exit(_stop_reason(guard), price)
    if at_us >= guard.square_off_us:
        return Exit(ExitReason.SQUARE_OFF, price)
    if at_us >= guard.time_us:
        return Exit(ExitReason.TIME, price)
    if guard.target is not None and _reaches(guard.is_long, price, guard.target):
        return Exit(ExitReason.TARGET, price)
    return None


def _stopped(guard: Protection, bar: OHLCVBar) -> Exit | None:
    worst = bar.low if guard.is_long else bar.high
    if guard.stop is None or not _reaches(not guard.is_long, worst, guard.stop):
        return None
    return Exit(_stop_reason(guard), guard.stop)


def _stop_reason(guard: Protection) -> ExitReason:
    return ExitReason.TRAILING_STOP if guard.is_trailed else ExitReason.STOP


def _reaches(is_upward: bool, price: float, level: float) -> bool:  # noqa: FBT001  # two words for one comparison
    return price >= level if is_upward else price <= level


def _trailed(guard: Protection, price: float) -> Protection:
    """Pull the trailing stop after the best price; it never moves back, and never behind the stop there is."""
    if not guard.trail:
        return guard
    is_better = price > guard.best if guard.is_long else price < guard.best
    best = price if is_better else guard.best
    raw = best - guard.trail if guard.is_long else best + guard.trail
    stop = round_to_tick(raw, guard.tick_size, Rounding.UP if guard.is_long else Rounding.DOWN)
    if guard.stop is not None and (stop <= guard.stop if guard.is_long else stop >= guard.stop):
        return msgspec.structs.replace(guard, best=best) if is_better else guard
    return msgspec.structs.replace(guard, best=best, stop=stop, is_trailed=True)


def _distance(price: float, percent: float, multiple: float, atr: float | None) -> float:
    """Give a multiple of the ATR where both are known, else a percentage of the price."""
    if multiple and atr:
        return multiple * atr
    return price * percent / 100
