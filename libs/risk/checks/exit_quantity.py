"""Exits only ever reduce: on the other side, and all open exits together never more than the position."""

from __future__ import annotations

from libs.contracts.orders import Side
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_SELL = Side.SELL


def check(case: Case) -> Rejected | None:
    request, held = case.request, case.holding.quantity
    closable = held if request.side is _SELL else -held
    left = closable - case.holding.exiting
    if request.quantity <= left:
        return None
    figures = {"quantity": request.quantity, "position": held, "exiting": case.holding.exiting}
    reason = f"an exit to {request.side} {request.quantity} exceeds what is left of the position {held}"
    return Rejected("exit_quantity", reason, figures)
