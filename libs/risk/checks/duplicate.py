"""One signal, one entry and one exit; and no second entry while one on the same side is still working."""

from __future__ import annotations

from libs.contracts.orders import Side
from libs.orders.model import Purpose
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_ENTRY = Purpose.ENTRY
_BUY = Side.BUY


def check(case: Case) -> Rejected | None:
    request, state = case.request, case.state
    if request.order_id in state.order_ids:
        return Rejected("duplicate", f"order {request.order_id} was decided before")
    if request.replaces:
        return None
    if request.signal_id and (request.signal_id, request.purpose) in state.signals_answered:
        return Rejected("duplicate", f"signal {request.signal_id} has its {request.purpose} already")
    if request.purpose is not _ENTRY:
        return None
    working = case.holding.entering_buy if request.side is _BUY else case.holding.entering_sell
    if working:
        reason = f"an entry of {request.strategy_id} to {request.side} {request.symbol} is still working"
        return Rejected("duplicate", reason, {"working": working})
    return None
