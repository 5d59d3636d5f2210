"""Prices of an order lie near the last price and inside the exchange's circuit limits."""

from __future__ import annotations

from libs.contracts.orders import OrderType
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_MARKET = OrderType.MARKET


def check(case: Case) -> Rejected | None:
    request = case.request
    if request.order_type is _MARKET:
        return None
    last, instrument = case.symbol.price, case.instrument
    for price in (request.price, request.price_trigger):
        if price is None:
            continue
        if price < instrument.price_low or (instrument.price_high and price > instrument.price_high):
            figures = {"price": price, "low": instrument.price_low, "high": instrument.price_high}
            return Rejected("price_band", f"{price} is outside the exchange's limits", figures)
        if last and abs(price - last) > last * case.limits.price_band:
            figures = {"price": price, "last": last, "percent_max": case.limits.price_band * 100}
            return Rejected("price_band", f"{price} is too far from the last price {last}", figures)
    return None
