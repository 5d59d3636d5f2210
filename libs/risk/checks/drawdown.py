"""No entries below the deepest drawdown allowed; the lock holds until an operator resumes."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    equity, most = case.state.equity, case.limits.drawdown_percent_max
    fallen = equity.peak_paise - equity.now_paise
    if fallen * 100 < most * equity.peak_paise and not case.state.locks.is_drawdown:
        return None
    figures = {"drawdown": fallen / 100, "peak": equity.peak_paise / 100, "percent_max": most}
    return Rejected("drawdown", "the account fell too far from its best", figures)
