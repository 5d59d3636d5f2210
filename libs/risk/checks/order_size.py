"""One order's quantity and value, the tightest of symbol, strategy and account."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    limits = case.limits
    if case.request.quantity > limits.order_quantity_max:
        counts = {"quantity": case.request.quantity, "quantity_max": limits.order_quantity_max}
        return Rejected("order_size", "the quantity is more than one order may have", counts)
    if case.value_paise > limits.order_value_max:
        figures = {"value": case.value_paise / 100, "value_max": limits.order_value_max / 100}
        return Rejected("order_size", f"the value is more than the {limits.order_value_level} limit", figures)
    return None
