"""Orders go out in continuous trading only, entries only until some minutes before its end."""

from __future__ import annotations

from libs.orders.model import Purpose
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_ENTRY = Purpose.ENTRY


def check(case: Case) -> Rejected | None:
    now_us, state = case.now_us, case.state
    for start_us, end_us in state.spans:
        if start_us <= now_us < end_us:
            break
    else:
        spans = ", ".join(f"{start}-{end}" for start, end in state.spans) or "none today"
        return Rejected("market_hours", f"the market is closed; sessions: {spans}", {"now_us": now_us})
    if now_us >= state.last_entry_us and case.request.purpose is _ENTRY:
        figures = {"now_us": now_us, "last_entry_us": state.last_entry_us}
        return Rejected("market_hours", "too late in the session for an entry", figures)
    return None
