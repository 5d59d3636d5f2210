"""While an order may or may not live at the broker, its strategy enters nothing more in that instrument.

Exits pass: what the unknown may have exited is held back by `exit_quantity`, and a position must be able to close.
"""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    if not case.holding.unknown:
        return None
    who = f"{case.request.strategy_id} in {case.request.symbol}"
    reason = f"{case.holding.unknown} orders of {who} are unknown; reconcile first"
    return Rejected("unknown_order", reason, {"unknown": case.holding.unknown})
