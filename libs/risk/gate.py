"""The gate: every order passes it, and it alone makes an `Approved`."""

from __future__ import annotations

from collections.abc import Callable

from libs.core.money import UNITS_PER_PAISA, UNITS_PER_RUPEE
from libs.orders.model import Purpose
from libs.risk.case import Case
from libs.risk.checks import (
    daily_loss,
    daily_trades,
    drawdown,
    duplicate,
    exit_quantity,
    freeze,
    funds,
    lot,
    market_hours,
    market_price,
    order_rate,
    order_size,
    position_size,
    price_band,
    stale_signal,
    tick,
    trading_state,
    unknown_order,
)
from libs.risk.limits import LimitTree
from libs.risk.request import OrderRequest
from libs.risk.screen import Desk, is_clear, is_clear_exit
from libs.risk.state import HoldingKey, RiskState
from libs.risk.verdict import _SEAL, Approved, Rejected, Verdict

_PRICE_MAX = 1e9
#: Looking a member up on its enum costs as much as a check.
_ENTRY = Purpose.ENTRY

Check = Callable[[Case], Rejected | None]

#: In this order: the first that objects names the rejection. What is plainly wrong comes before what is too much,
#: and a limit that was hit before the state it led to: a backtest has no states.
ENTRY_CHECKS: tuple[Check, ...] = (
    trading_state.check_halted,
    market_hours.check,
    lot.check,
    tick.check,
    freeze.check,
    duplicate.check,
    unknown_order.check,
    stale_signal.check,
    market_price.check,
    price_band.check,
    order_size.check,
    position_size.check,
    funds.check,
    daily_trades.check,
    daily_loss.check,
    drawdown.check,
    trading_state.check,
    order_rate.check,
)

#: An exit reduces: no limit on size, age or loss may keep a position open.
EXIT_CHECKS: tuple[Check, ...] = (
    trading_state.check,
    market_hours.check,
    lot.check,
    tick.check,
    freeze.check,
    duplicate.check,
    exit_quantity.check,
    price_band.check,
    order_rate.check,
)

#: Other terms of an order that works already: it is no second one, and what it takes up is counted.
CHANGE_CHECKS: tuple[Check, ...] = (trading_state.check, lot.check, tick.check, freeze.check, price_band.check)


class Gate:
    """Decides on one order at a time against the state as it is. Deciding changes nothing.

    Whoever acts on an `Approved` tells the state at once (`RiskState.on_order`), before the next decision.
    """

    def __init__(self, state: RiskState, limits: LimitTree) -> None:
        self.state = state
        self.limits = limits
        self._desks: dict[HoldingKey, Desk] = {}

    def use_limits(self, limits: LimitTree) -> None:
        """Hold the next decision against other limits: the config store changed."""
        self.limits = limits
        self._desks.clear()

    def decide(self, request: OrderRequest, now_us: int) -> Verdict:
        """Approve, or reject with the first check that objects."""
        rejected = self.objection(request, now_us)
        return Approved(request, now_us, _SEAL) if rejected is None else rejected

    def objection(self, request: OrderRequest, now_us: int) -> Rejected | None:
        """Decide for an exchange that is simulated: None approves, and is no proof that a broker would take."""
        desk = self._desks.get((request.strategy_id, request.exchange, request.symbol, request.product))
        if desk is None:
            desk = self._desk(request)
        is_cleared = is_clear if request.purpose is _ENTRY else is_clear_exit
        if is_cleared(desk, request, now_us):
            return None
        return self._judge(desk, request, now_us)

    def object_to_terms(self, request: OrderRequest, now_us: int) -> Rejected | None:
        """Say what stands against other terms of an order that is in the books; None when nothing does."""
        case = self._case(self._desk(request), request, now_us)
        if isinstance(case, Rejected):
            return case
        checks = (*CHANGE_CHECKS, order_size.check) if request.purpose is _ENTRY else CHANGE_CHECKS
        return next((rejected for check in checks if (rejected := check(case)) is not None), None)

    def _judge(self, desk: Desk, request: OrderRequest, now_us: int) -> Rejected | None:
        case = self._case(desk, request, now_us)
        if isinstance(case, Rejected):
            return case
        for check in ENTRY_CHECKS if request.purpose is _ENTRY else EXIT_CHECKS:
            rejected = check(case)
            if rejected is not None:
                return rejected
        return None

    def _case(self, desk: Desk, request: OrderRequest, now_us: int) -> Case | Rejected:
        symbol = desk.symbol
        instrument = symbol.instrument
        if instrument is None:
            return Rejected("instrument", f"{request.exchange}:{request.symbol} is in no instrument list")
        price = request.price
        if price is None:
            units = symbol.units
        elif 0 < price < _PRICE_MAX:
            units = max(symbol.units, round(price * UNITS_PER_RUPEE))
        else:
            return Rejected("tick", f"{price} is no price")
        value = units * request.quantity // UNITS_PER_PAISA
        return Case(request, now_us, desk.limits, self.state, symbol, desk.holding, instrument, units, value)

    def _desk(self, request: OrderRequest) -> Desk:
        key = (request.strategy_id, request.exchange, request.symbol, request.product)
        symbol, holding = self.state.holding(*key)
        limits = self.limits.resolve(request.strategy_id, request.symbol)
        desk = self._desks[key] = Desk(self.state, limits, symbol, holding, key[0], (key[1], key[2]))
        return desk
