"""Startup is recovery: the store's whole state becomes the desk's, and what may have left is unknown until shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import msgspec

from libs.contracts.orders import OrderStatus
from libs.contracts.sessions import Session
from libs.core.clock import trading_date
from libs.core.faults import crash_point
from libs.dbaccess import DatabaseManager
from libs.dbaccess.trading import Loaded
from libs.orders import evidence as ev
from libs.orders.model import FINAL, Order, Purpose
from libs.orders.profit import Equity
from libs.risk.state import LossLocks
from libs.runtime.logs import get_logger
from libs.trading.desk import Desk
from services.execution_engine.books import guard_of
from services.execution_engine.deciding import SignalPlace
from services.execution_engine.engine import Engine
from services.execution_engine.signals import stored_signals


def restore(desk: Desk, loaded: Loaded, session_of: Callable[[date], Session | None]) -> None:
    """Put what the store holds into a new desk, as if it had lived through it: earlier days, then the last one."""
    last = loaded.day.day if loaded.day else desk.gate.state.day
    desk.gate.state.on_day(last)
    for (exchange, symbol), price in loaded.marks.items():
        # Values the account as it was last seen; of no age that would let an entry pass.
        desk.on_price(exchange, symbol, price, 0)
    earlier = [fill for fill in loaded.fills if trading_date(fill.timestamp_us) < last]
    desk.restore([], earlier, [each.position for each in loaded.carried])
    desk.on_day(last, session_of(last))
    desk.restore(loaded.orders, [fill for fill in loaded.fills if trading_date(fill.timestamp_us) >= last])
    guards = {}
    for plan in loaded.exit_plans:
        position = desk.positions.get(plan.key)
        guard = desk.guards.get(plan.key)
        if guard is not None and position.quantity:
            kept = guard_of(plan, is_long=position.quantity > 0, tick_size=guard.tick_size)
            guards[plan.key] = msgspec.structs.replace(kept, square_off_us=guard.square_off_us)
    desk.guards.update(guards)
    state = desk.gate.state
    for order in loaded.orders:
        if order.is_sent:
            state.rates.record(order.created_us)
    if loaded.day:
        now = desk.equity_paise
        high = max(loaded.day.equity_high_paise, now)
        state.equity = Equity(last, now, loaded.day.equity_start_paise, high)
    state.locks = LossLocks(loaded.loss_lock_day, loaded.is_drawdown_locked)


def resume(engine: Engine, loaded: Loaded, manager: DatabaseManager) -> None:
    """Settle what the last process left half done: intents never left; what may have left got no answer.

    Entries that may still fill get the stop and target of their signals back, out of the scanner's store.
    """
    engine.books.restored(loaded.fills, {each.position.key: each.trades for each in loaded.carried})
    engine.cursor = SignalPlace(loaded.cursor.store_uuid, loaded.cursor.outbox_seq)
    engine.desk.gate.state.trading_state = engine.states.account
    for order in list(engine.desk.orders):
        if order.status is OrderStatus.INTENT:
            evidence: ev.AnyEvidence = ev.Lapsed(at_us=order.created_us, reason="the engine ended before it was sent")
        elif _may_have_left(order):
            evidence = ev.NoAnswer(at_us=order.created_us, reason="the engine ended before the answer came")
        else:
            continue
        with engine.store.transaction() as entry:
            engine.books.take(entry, order.order_id, evidence)
        crash_point("engine.recovery.step")
    _remember_entries(engine.desk, manager)


def _remember_entries(desk: Desk, manager: DatabaseManager) -> None:
    """A position is guarded by its first fill: without its signal it would have the plan's exits only, or none."""
    orders = {
        order.signal_id: order
        for order in desk.orders.unsettled()
        if order.purpose is Purpose.ENTRY and order.signal_id
    }
    for signal in stored_signals(manager, orders) if orders else ():
        order = orders.pop(signal.signal_id)
        desk.entered_by(desk.positions.key(order.strategy_id, order.symbol, order.exchange, order.product), signal)
    for order in orders.values():
        get_logger().warning("engine.signal_lost", order=order.order_id, signal=order.signal_id, guarded_by="plan")


def _may_have_left(order: Order) -> bool:
    """The answer to its place request was never committed: of what it became perhaps not all is known."""
    answered = order.is_complete or order.is_refused or order.is_unanswered or order.is_lapsed
    return order.is_sent and not answered and order.status not in FINAL
