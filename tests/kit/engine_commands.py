"""Commands to an engine of the kit, as its socket would hand them on; and a wire that loses every answer."""

from __future__ import annotations

from typing import Any

from libs.brokers.interface import Answer
from libs.contracts.bus import CommandRequest
from libs.contracts.orders import OrderType, Side
from libs.orders import evidence as ev
from libs.orders.model import Purpose, order_id
from libs.risk.request import OrderRequest
from libs.trading.decisions import Placed
from services.execution_engine.clearance import Clearance
from services.execution_engine.handlers import Handlers
from services.execution_engine.last_lock import LastLock
from tests.kit.engine import Rig


def handlers(rig: Rig, *, real_money: bool = False) -> Handlers:
    return Handlers(
        rig.engine, rig.closing, rig.clock, kill_file=rig.rounds._kill_file, status=dict, reconcile=lambda: None,
        last_lock=LastLock(rig.engine, rig.clock), clearance=Clearance(rig.engine, rig.clock, is_needed=real_money),
    )  # fmt: skip


def ask(rig: Rig, name: str, command_id: str = "", **arguments: Any) -> Any:
    return handlers(rig).handle(CommandRequest(command_id or f"id of {name}", name, arguments | {"sender": "tester"}))


def rest(rig: Rig, price: float = 99.0, quantity: int = 10) -> str:
    """Rest a limit order of the strategy `trend`, approved by the gate and written like any other."""
    name = order_id(signal_id="rests", purpose=Purpose.ENTRY)
    request = OrderRequest(
        order_id=name, strategy_id="trend", symbol="ACME", side=Side.BUY, quantity=quantity,
        order_type=OrderType.LIMIT, price=price, signal_id="rests",
    )  # fmt: skip
    decision = rig.engine.desk.ask(request, rig.engine.market.now_us(), "limit")
    assert isinstance(decision, Placed), decision
    with rig.engine.store.transaction() as entry:
        rig.engine.decider.write(entry, "", [decision], rig.engine.market.now_us())
    rig.engine.act([decision])
    return name


class LostWire:
    """Carries requests into the dark."""

    answered: Any
    reported: Any
    sent = 0

    def place(self, order: Any, approved: Any) -> None:
        self.sent += 1
        lost = ev.NoAnswer(at_us=order.created_us, reason="read timed out")
        self.answered(Answer(order_id=order.order_id, request="place", evidence=lost, outcome="unknown"))
