"""No entries once the day lost its limit. The account's lock holds for the day, also when the loss is made good."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    state, limits = case.state, case.limits
    equity, locked = state.equity, state.locks.day
    loss = equity.day_start_paise - equity.now_paise
    if loss >= limits.account_loss_max or (locked is not None and locked == state.day):
        figures = {"loss": loss / 100, "loss_max": limits.account_loss_max / 100}
        return Rejected("daily_loss", "the account reached its loss of the day", figures)
    of_strategy = state.strategy_loss.get(case.request.strategy_id, 0)
    if of_strategy >= limits.strategy_loss_max:
        figures = {"loss": of_strategy / 100, "loss_max": limits.strategy_loss_max / 100}
        return Rejected("daily_loss", f"strategy {case.request.strategy_id} reached its loss of the day", figures)
    return None
