"""What one strategy holds in one instrument, what its orders may still do there, and the instrument's own state."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from libs.contracts.orders import OrderStatus, Side
from libs.orders.direct import PlainOrder
from libs.orders.instrument import Instrument
from libs.orders.model import Order, Purpose

#: Looking a member up on its enum costs as much as a step of what is done with it.
_BUY, _ENTRY = Side.BUY, Purpose.ENTRY


# Written to a dozen times an order, which costs a struct three times as much as a class with slots.
@dataclass(slots=True)
class Holding:
    """One strategy in one instrument: its position, what its orders may still do, and how many are unknown."""

    quantity: int = 0
    buying: int = 0
    selling: int = 0
    exiting: int = 0
    entering_buy: int = 0
    entering_sell: int = 0
    unknown: int = 0
    exposure: int = 0

    def worst_quantity(self) -> int:
        """Give the largest position, long or short, that could come of it."""
        quantity = self.quantity
        worst, short = quantity + self.buying, self.selling - quantity
        if short > worst:  # noqa: PLR1730 - a call costs more than the comparison, and this is asked ten times an order
            worst = short
        return worst if worst > 0 else 0  # noqa: FURB136 - as above


@dataclass(slots=True)
class SymbolState:
    """One instrument: its rules, its last price, and what all strategies together hold in it."""

    instrument: Instrument | None = None
    tick_units: int = 1
    price: float = 0.0
    units: int = 0
    price_at_us: int = 0
    net: Holding = field(default_factory=Holding)
    holdings: list[tuple[str, Holding]] = field(default_factory=list)
    #: Something happened since exposures in it were worked out.
    is_moved: bool = False


class Share(msgspec.Struct, frozen=True):
    """What one order adds to its holding, remembered so that it can be taken out again."""

    holding: Holding
    net: Holding
    buying: int
    selling: int
    exiting: int
    entering_buy: int
    entering_sell: int
    unknown: int


def share_of(order: Order, holding: Holding, net: Holding) -> Share:
    reserved = order.quantity_reserved
    is_buy, is_entry = order.side is Side.BUY, order.purpose is Purpose.ENTRY
    return Share(
        holding,
        net,
        buying=reserved if is_buy else 0,
        selling=0 if is_buy else reserved,
        exiting=0 if is_entry else reserved,
        entering_buy=reserved if is_entry and is_buy else 0,
        entering_sell=reserved if is_entry and not is_buy else 0,
        unknown=int(order.status is OrderStatus.UNKNOWN),
    )


def reserve_plain(plain: PlainOrder, holding: Holding, net: Holding, quantity: int) -> None:
    """Hold a plain order's quantity back, or give it free again where it is below 0: `reserve`, with nothing kept."""
    if plain.purpose is _ENTRY:
        if plain.side is _BUY:
            holding.entering_buy += quantity
            net.entering_buy += quantity
        else:
            holding.entering_sell += quantity
            net.entering_sell += quantity
    else:
        holding.exiting += quantity
        net.exiting += quantity
    if plain.side is _BUY:
        holding.buying += quantity
        net.buying += quantity
    else:
        holding.selling += quantity
        net.selling += quantity


def reserve(share: Share, sign: int) -> None:
    for holding in (share.holding, share.net):
        # One side and one purpose are nothing in every order, and adding nothing costs as much as adding something.
        if share.buying:
            holding.buying += sign * share.buying
        if share.selling:
            holding.selling += sign * share.selling
        if share.exiting:
            holding.exiting += sign * share.exiting
        if share.entering_buy:
            holding.entering_buy += sign * share.entering_buy
        if share.entering_sell:
            holding.entering_sell += sign * share.entering_sell
        if share.unknown:
            holding.unknown += sign * share.unknown
