"""The quantity is a positive multiple of the lot."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    quantity, lot = case.request.quantity, case.instrument.lot_size
    if quantity > 0 and quantity % lot == 0:
        return None
    reason = f"quantity {quantity} is no positive multiple of the lot {lot}"
    return Rejected("lot", reason, {"quantity": quantity, "lot": lot})
