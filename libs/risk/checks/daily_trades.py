"""Entries of the day: in the symbol, of the strategy, of the account."""

from __future__ import annotations

from libs.risk.case import Case
from libs.risk.verdict import Rejected


def check(case: Case) -> Rejected | None:
    request, state, limits = case.request, case.state, case.limits
    if state.trades_account >= limits.account_trades_max:
        return _rejected("account", state.trades_account, limits.account_trades_max)
    of_strategy = state.trades_strategy.get(request.strategy_id, 0)
    if of_strategy >= limits.strategy_trades_max:
        return _rejected("strategy", of_strategy, limits.strategy_trades_max)
    in_symbol = state.trades_symbol.get((request.exchange, request.symbol), 0)
    if in_symbol >= limits.symbol_trades_max:
        return _rejected("symbol", in_symbol, limits.symbol_trades_max)
    return None


def _rejected(whose: str, found: int, most: int) -> Rejected:
    return Rejected(
        "daily_trades", f"the {whose} has had its entries of the day", {"trades": found, "trades_max": most}
    )
