"""What guards a position that was just entered: its plan's rules, and what its own signal brought."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from libs.contracts.sessions import Session
from libs.contracts.signals import SignalEvent, SignalType
from libs.orders.instrument import Instrument
from libs.orders.positions import Position
from libs.trading.exits import Protection, protect
from libs.trading.plan import Plan

_TICK_UNKNOWN = 0.05


def guard_of(
    plan: Plan, position: Position, price: float, signal: SignalEvent | None, instrument: Instrument | None,
    square_off_us: int,
) -> Protection:  # fmt: skip
    """Set up the guard of a position entered at a price; a signal's stop and target belong to its own side only."""
    is_long = position.quantity > 0
    own = signal if signal and (signal.signal_type is SignalType.ENTER_LONG) == is_long else None
    metadata: Mapping[str, float] = own.metadata if own else {}
    return protect(
        plan.exits, is_long=is_long, price=price, at_us=position.opened_us,
        tick_size=instrument.tick_size if instrument else _TICK_UNKNOWN, stop=own.stop if own else None,
        target=own.target if own else None, atr=metadata.get("atr"), square_off_us=square_off_us,
    )  # fmt: skip


def squared_off_by(guard: Protection, opened_us: int, hours: Session | None, square_off_us: int) -> Protection:
    """Give the guard for a day's hours: what an earlier day's close should not have seen goes as the market opens."""
    if hours is not None and opened_us < hours.open_us:
        return replace(guard, square_off_us=hours.open_us)
    return replace(guard, square_off_us=square_off_us)
