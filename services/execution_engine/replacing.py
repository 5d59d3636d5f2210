"""Cancel and replace: the second order goes out only when nothing of the first can trade any more."""

from __future__ import annotations

import msgspec

from libs.contracts.orders import OrderType
from libs.core.clock import US_PER_SECOND, Clock
from libs.core.faults import crash_point
from libs.dbaccess.trading.control import finish_command
from libs.orders.model import Order, Purpose, order_id
from libs.orders.replacement import replacement, why_not_replaceable
from libs.risk.request import OrderRequest
from libs.trading.decisions import Placed, Refusal
from services.execution_engine.engine import Engine

_AGAIN_NS = US_PER_SECOND * 1000
#: What an order without a price becomes when it is given one.
_PRICED = {OrderType.MARKET: OrderType.LIMIT, OrderType.SL_M: OrderType.SL}


class Replacement(msgspec.Struct, frozen=True):
    """One command: what is left of an order, at another price."""

    command_id: str
    order_id: str
    price: float | None


class Replacing:
    """Works on replace commands; like flattening, they survive restarts as commands that are not finished.

    The new order's id follows from the old one's, so that a replacement that was cut off goes out once.
    """

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._cancelled_ns: dict[str, int] = {}
        self.jobs: list[Replacement] = []

    def begin(self, job: Replacement) -> dict[str, str]:
        """Take on a job and do its first step."""
        if all(each.order_id != job.order_id for each in self.jobs):
            self.jobs.append(job)
            self._step(job)
        return {"state": "under way", "order_id": name_of(job.order_id)}

    def step(self) -> None:
        """Go on with every job."""
        for job in list(self.jobs):
            self._step(job)

    def end_day(self) -> None:
        """An order's terms are of its day."""
        for job in list(self.jobs):
            self._finish(job, "failed", {"error": "the day ended before the order was replaced"})

    def _step(self, job: Replacement) -> None:
        orders = self._engine.desk.orders
        if name_of(job.order_id) in orders:
            self._made(job, orders.get(name_of(job.order_id)))
            return
        order = orders.get(job.order_id)
        reason = why_not_replaceable(order)
        if not reason:
            self._place(job, order)
        elif order.is_settled:
            self._finish(job, "refused", {"error": reason})
        elif not order.is_cancelling:
            self._cancel(order)

    def _cancel(self, order: Order) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._cancelled_ns.get(order.order_id, -_AGAIN_NS) >= _AGAIN_NS:
            self._cancelled_ns[order.order_id] = now_ns
            self._engine.cancel(order.order_id, "to be replaced")

    def _place(self, job: Replacement, order: Order) -> None:
        engine = self._engine
        now_us, state = engine.market.now_us(), engine.desk.gate.state
        if not state.symbol(order.exchange, order.symbol).price:
            return  # after a start, until the market is heard: no reason to give the order up
        kind = None if job.price is None else _PRICED.get(order.order_type)
        made = replacement(
            order, order_id=name_of(order.order_id), created_us=now_us, price=job.price, order_type=kind
        )  # fmt: skip
        request = OrderRequest(
            order_id=made.order_id, strategy_id=made.strategy_id, symbol=made.symbol, side=made.side,
            quantity=made.quantity, order_type=made.order_type, price=made.price, price_trigger=made.price_trigger,
            exchange=made.exchange, product=made.product, purpose=made.purpose, signal_id=made.signal_id,
            replaces=made.replaces,
        )  # fmt: skip
        state.trading_state = engine.states.of(made.strategy_id, made.exchange, made.symbol)
        try:
            decision = engine.desk.ask(request, now_us, "replace")
        finally:
            state.trading_state = engine.states.account
        engine.timing.begin(None)
        engine.timing.decided()
        with engine.store.transaction() as entry:
            engine.decider.write(entry, "", [decision], now_us)
            crash_point("engine.replace.before")
        crash_point("engine.replace.after")
        engine.act([decision])
        if isinstance(decision, Placed):
            self._finish(job, "done", {"order_id": made.order_id})
        elif isinstance(decision, Refusal):
            rejected = decision.rejected
            self._finish(job, "refused", {"error": f"cancelled, not replaced: {rejected.check}: {rejected.reason}"})

    def _made(self, job: Replacement, made: Order) -> None:
        """End a command whose order another life of the engine made."""
        if made.is_lapsed:
            self._finish(job, "failed", {"error": "cancelled, not replaced: the engine ended before it was sent"})
        else:
            self._finish(job, "done", {"order_id": made.order_id})

    def _finish(self, job: Replacement, state: str, answer: dict[str, str]) -> None:
        self.jobs.remove(job)
        self._cancelled_ns.pop(job.order_id, None)
        with self._engine.store.transaction() as entry:
            finish_command(entry.connection, job.command_id, state, answer, self._clock.now_us())


def name_of(replaced: str) -> str:
    """Name the order that stands in for another."""
    return order_id(signal_id=f"replaces {replaced}", purpose=Purpose.ENTRY)
