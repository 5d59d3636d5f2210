"""ACTIVE sends all, REDUCING what reduces, HALTED what an operator flattens. Cancels never come here."""

from __future__ import annotations

from libs.contracts.risk import TradingState
from libs.orders.model import Purpose
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_ACTIVE = TradingState.ACTIVE
_EXIT = Purpose.EXIT
_FLATTEN = Purpose.FLATTEN
_REDUCING, _HALTED = TradingState.REDUCING, TradingState.HALTED


def check(case: Case) -> Rejected | None:
    state = case.state.trading_state
    if state is _ACTIVE or case.request.purpose is _FLATTEN:
        return None
    if state is _REDUCING and case.request.purpose is _EXIT:
        return None
    return Rejected("trading_state", f"trading is {state}; this is an order of purpose {case.request.purpose}")


def check_halted(case: Case) -> Rejected | None:
    """Ask HALTED alone: in REDUCING an entry is rejected by what led there, where that is a limit."""
    return check(case) if case.state.trading_state is _HALTED else None
