"""An entry must be paid for: with the money the broker showed, not long ago, less what is spent since then."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.funds import margin_paise
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    funds = case.state.funds
    if not funds.is_known:
        return None
    limits = case.limits
    if funds.age_us > limits.funds_age_max_us:
        ages = {"age_us": funds.age_us, "age_max_us": limits.funds_age_max_us}
        return Rejected("funds", "the broker's funds were read too long ago", ages)
    percent = limits.funds_margin_intraday_percent
    needed, held = margin_paise(case.value_paise, case.request.product, percent), funds.held_paise(percent)
    left = funds.available_paise - held - limits.funds_reserve
    if needed <= left:
        return None
    figures = {
        "needed": needed / 100, "available": funds.available_paise / 100, "held": held / 100,
        "reserve": limits.funds_reserve / 100,
    }  # fmt: skip
    return Rejected("funds", f"{needed / 100:.2f} rupees are needed and {max(0, left) / 100:.2f} are free", figures)
