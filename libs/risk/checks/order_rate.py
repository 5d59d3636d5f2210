"""Requests per window, as the broker counts them; entries leave room for exits and cancels."""

from __future__ import annotations

from libs.orders.model import Purpose
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_ENTRY = Purpose.ENTRY


def check(case: Case) -> Rejected | None:
    is_entry = case.request.purpose is _ENTRY
    full = case.state.rates.full_window(case.now_us, is_entry=is_entry)
    if full is None:
        return None
    window_us, most = full
    reason = f"{most} requests in the last {window_us / 1_000_000:g} s are all this order may follow"
    return Rejected("order_rate", reason, {"window_us": window_us, "requests_max": most})
