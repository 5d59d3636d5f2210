"""No entry without a recent price: nothing else could be checked. Exits may leave a market that fell silent."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    symbol = case.symbol
    if symbol.price <= 0:
        return Rejected("market_price", f"no price of {case.request.symbol} has been seen")
    age_us = case.now_us - symbol.price_at_us
    if age_us <= case.limits.price_age_max_us:
        return None
    figures = {"age_us": age_us, "age_max_us": case.limits.price_age_max_us}
    return Rejected("market_price", f"the last price of {case.request.symbol} is too old", figures)
