"""Worst-case exposure after the order: in the symbol, of the strategy, of the account, and against equity."""

from __future__ import annotations

from libs.contracts.orders import Side
from libs.core.money import UNITS_PER_RUPEE
from libs.risk.case import Case
from libs.risk.verdict import Rejected

_BUY = Side.BUY


def check(case: Case) -> Rejected | None:
    request, limits, state, net = case.request, case.limits, case.state, case.symbol.net
    # The most that could be held on either side once this order fills too: `Holding.worst_quantity`, spelled out here
    # because the gate spends its time on this line.
    buying, selling = (request.quantity, 0) if request.side is _BUY else (0, request.quantity)
    quantity = net.quantity + net.buying + buying
    if (short := net.selling + selling - net.quantity) > quantity:
        quantity = short
    if quantity > limits.position_quantity_max:
        return _rejected("symbol's quantity", quantity, limits.position_quantity_max, 1)
    # Valued at the order's own price where that is worse than the last.
    units = case.units
    in_symbol = quantity * units
    if in_symbol > limits.symbol_exposure_max:
        return _rejected("symbol's exposure", in_symbol, limits.symbol_exposure_max)
    own = case.holding
    held = own.quantity + own.buying + buying
    if (short := own.selling + selling - own.quantity) > held:
        held = short
    of_account, of_strategy = state.exposed_elsewhere(request.strategy_id, net, own)
    in_strategy = of_strategy + held * units
    if in_strategy > limits.strategy_exposure_max:
        return _rejected("strategy's exposure", in_strategy, limits.strategy_exposure_max)
    in_account = of_account + in_symbol
    if in_account > limits.account_exposure_max:
        return _rejected("account's exposure", in_account, limits.account_exposure_max)
    most = state.equity.now_paise * limits.account_exposure_percent_max  # a per cent of a paisa is a unit
    if in_account > most:
        return _rejected("account's exposure against its equity", in_account, most)
    return None


def _rejected(what: str, found: int, most: int, unit: int = UNITS_PER_RUPEE) -> Rejected:
    return Rejected("position_size", f"the {what} would exceed its limit", {"worst": found / unit, "max": most / unit})
