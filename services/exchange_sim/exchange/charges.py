"""What the simulated broker says a trade costs: rates of the kind in force in 2026, for the calculator only."""

from __future__ import annotations

from typing import Any

_GST = 0.18


def brokerage(value: float, product: str, *, is_buy: bool) -> dict[str, Any]:
    """Give the charges of one equity trade; both spellings where the SDK's models read only one."""
    fee = round(min(20.0, value * 0.0005) if product == "I" else 20.0, 2)
    delivery = product != "I"
    stt = round(value * (0.001 if delivery else 0.0 if is_buy else 0.00025), 2)
    transaction = round(value * 0.0000297, 2)
    sebi = round(value * 0.000001, 4)
    stamp = round(value * (0.00015 if delivery else 0.00003), 2) if is_buy else 0.0
    gst = round((fee + transaction + sebi) * _GST, 2)
    other = {"transaction": transaction, "clearing": 0.0, "sebi_turnover": sebi, "ipft": 0.0}
    plan = {"name": "BASIC", "min_expense": 20.0, "minExpense": 20.0}
    return {
        "total": round(fee + stt + transaction + sebi + stamp + gst, 2),
        "brokerage": fee,
        "taxes": {"gst": gst, "stt": stt, "stamp_duty": stamp, "stampDuty": stamp},
        "other_charges": other,
        "other_taxes": other,
        "otherTaxes": other,
        "dp_plan": plan,
        "dpPlan": plan,
    }
