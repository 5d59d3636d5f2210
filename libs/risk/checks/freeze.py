"""The exchange freezes single orders above a size; the broker slices, but not without end."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    freeze = case.instrument.freeze_quantity
    if not freeze or case.request.quantity <= freeze * case.limits.slices_max:
        return None
    figures = {"quantity": case.request.quantity, "freeze": freeze, "slices": case.limits.slices_max}
    return Rejected(
        "freeze", f"quantity {case.request.quantity} needs more than {case.limits.slices_max} slices", figures
    )
