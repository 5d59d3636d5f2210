"""Prices lie on the exchange's grid, and an order has the prices its type needs."""

from __future__ import annotations

from libs.contracts.orders import OrderType
from libs.core.money import UNITS_PER_RUPEE
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_PRICE_MAX = 1e9
_MARKET, _LIMIT, _SL_M = OrderType.MARKET, OrderType.LIMIT, OrderType.SL_M


def check(case: Case) -> Rejected | None:
    request = case.request
    kind = request.order_type
    if kind is _MARKET:
        return None
    if kind is not _SL_M and (rejected := _off_grid(case, request.price, "price")):
        return rejected
    return None if kind is _LIMIT else _off_grid(case, request.price_trigger, "trigger price")


def _off_grid(case: Case, price: float | None, what: str) -> Rejected | None:
    if price is None or not 0 < price < _PRICE_MAX:
        return Rejected("tick", f"a {case.request.order_type} order needs a {what}, got {price}")
    units = round(price * UNITS_PER_RUPEE)
    if units % case.symbol.tick_units == 0 and units / UNITS_PER_RUPEE == price:
        return None
    tick = case.instrument.tick_size
    return Rejected("tick", f"{what} {price} is not on the grid of {tick}", {"price": price, "tick": tick})
