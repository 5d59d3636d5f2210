"""The position a strategy's own signals imply: a pure fold, the same in a backtest, live, and after a restart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from libs.contracts.signals import SignalEvent, SignalType

#: Exits come before entries, so that a reversal on one bar is an exit and an entry.
KIND_ORDER = {
    SignalType.EXIT_LONG: 0,
    SignalType.EXIT_SHORT: 1,
    SignalType.ENTER_LONG: 2,
    SignalType.ENTER_SHORT: 3,
}


#: Looking a member up on its enum costs as much as a step of what is done with it.
_EXIT_LONG, _EXIT_SHORT, _ENTER_LONG = SignalType.EXIT_LONG, SignalType.EXIT_SHORT, SignalType.ENTER_LONG


class Position(msgspec.Struct, frozen=True):
    """Flat, long or short since a bar. Says nothing of quantities and fills: those are the account's."""

    direction: int = 0
    entry_price: float = 0.0
    entry_us: int = 0
    stop: float | None = None
    target: float | None = None

    @property
    def is_flat(self) -> bool:
        return self.direction == 0

    @property
    def is_long(self) -> bool:
        return self.direction > 0

    @property
    def is_short(self) -> bool:
        return self.direction < 0


FLAT = Position()


def after(position: Position, signal: SignalEvent) -> Position:
    """Fold one signal in. A further entry the same way keeps the first, and moves stop and target where it has any."""
    kind = signal.signal_type
    if kind is _EXIT_LONG or kind is _EXIT_SHORT:
        leaves = 1 if kind is _EXIT_LONG else -1
        return FLAT if position.direction == leaves else position
    direction = 1 if kind is _ENTER_LONG else -1
    if position.direction == direction:
        return msgspec.structs.replace(
            position, stop=signal.stop or position.stop, target=signal.target or position.target
        )
    price = float(signal.metadata.get("price", 0.0))
    return Position(direction, price, signal.timestamp_us, signal.stop, signal.target)


def implied(signals: Iterable[SignalEvent]) -> Position:
    """Fold the signals of one instance on one symbol, in their order."""
    position = FLAT
    for signal in signals:
        position = after(position, signal)
    return position


def touched(position: Position, bar: Any) -> str:
    """Say which of the two a bar reached, the stop before the target; empty when neither."""
    if position.direction > 0:
        if position.stop is not None and bar.low <= position.stop:
            return "stop"
        return "target" if position.target is not None and bar.high >= position.target else ""
    if position.stop is not None and bar.high >= position.stop:
        return "stop"
    return "target" if position.target is not None and bar.low <= position.target else ""
