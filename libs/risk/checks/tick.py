"""Prices lie on the exchange's grid, and an order has the prices its type needs."""

from __future__ import annotations

from libs.contracts.orders import OrderType
from libs.core.money import UNITS_PER_RUPEE
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_PRICE_MAX = 1e9
_MARKET = OrderType.MARKET
_NEEDS_PRICE = (OrderType.LIMIT, OrderType.SL)
_NEEDS_TRIGGER = (OrderType.SL, OrderType.SL_M)


def check(case: Case) -> Rejected | None:
    request = case.request
    kind = request.order_type
    if kind is _MARKET:
        return None
    for price, is_needed, what in (
        (request.price, kind in _NEEDS_PRICE, "price"),
        (request.price_trigger, kind in _NEEDS_TRIGGER, "trigger price"),
    ):
        if not is_needed:
            continue
        if price is None or not 0 < price < _PRICE_MAX:
            return Rejected("tick", f"a {kind} order needs a {what}, got {price}")
        units = round(price * UNITS_PER_RUPEE)
        if units % case.symbol.tick_units or units / UNITS_PER_RUPEE != price:
            figures = {"price": price, "tick": case.instrument.tick_size}
            return Rejected("tick", f"{what} {price} is not on the grid of {case.instrument.tick_size}", figures)
    return None
