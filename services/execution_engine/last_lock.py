"""The broker's own kill switch, for an operator who wants to be sure: only once all is halted and flat, on both sides.

The broker keeps it thrown for about twelve hours, whatever anybody says. So nothing throws it by itself: a person
does, in words that say what it means. The answers of the network come later; each ends its command.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from libs.brokers.switch import Segment
from libs.contracts.risk import RiskEvent, TradingState
from libs.contracts.topics import topic
from libs.core.clock import Clock
from libs.core.errors import FleetError, OutcomeUnknown, Refused
from libs.core.faults import crash_point
from libs.dbaccess.trading.control import finish_command
from libs.orders.model import FINAL
from libs.orders.reconcile import BrokerBook
from services.execution_engine.commands import BrokerLock
from services.execution_engine.engine import Engine

#: To be said word for word.
CONFIRMATION = "no orders for 12 hours"


class LastLock:
    """Looks at the switch, and throws it for one command at a time."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._under_way = ""

    def look(self, command_id: str) -> dict[str, Any]:
        """Read the switch; the command ends when the broker has answered."""

        def told(found: tuple[Segment, ...] | FleetError) -> None:
            if isinstance(found, FleetError):
                self._finish(command_id, _state_of(found), {"error": str(found)})
            else:
                in_the_way = self._obstacles()
                self._finish(command_id, "done", _shown(found) | {"in_the_way": in_the_way})

        self._engine.wire.read_switch(told)
        return {"state": "under way"}

    def begin(self, command_id: str, command: BrokerLock) -> dict[str, Any]:
        """Throw the switch if nothing is open here, and then nothing at the broker; raise `Refused` otherwise."""
        if command.confirm != CONFIRMATION:
            raise Refused(f"the broker's switch stays as it is: to confirm, say {CONFIRMATION!r}")
        if self._under_way:
            raise Refused(f"command {self._under_way} is throwing the broker's switch; wait for it")
        self._require_nothing(self._obstacles())
        self._under_way = command_id

        def looked(found: BrokerBook | FleetError) -> None:
            try:
                if isinstance(found, FleetError):
                    raise found
                self._require_nothing(self._obstacles() + _open_at_broker(found))
            except FleetError as e:
                self._failed(command_id, command, e)
                return
            self._engine.wire.lock(thrown)

        def thrown(found: tuple[Segment, ...] | FleetError) -> None:
            crash_point("engine.lock.sent")
            if isinstance(found, FleetError):
                self._failed(command_id, command, found)
                return
            names = ", ".join(segment.name for segment in found)
            text = f"the broker's own switch is thrown for {names} by {command.sender}: {command.reason}"
            self._finish(command_id, "done", _shown(found), "error", text)

        self._engine.wire.read_book(looked)
        return {"state": "under way"}

    def _obstacles(self) -> list[str]:
        """List what of ours has to end first."""
        engine = self._engine
        found = []
        if engine.states.account is not TradingState.HALTED:
            found.append(f"trading is {engine.states.account}, not halted")
        positions = engine.desk.positions.open()
        found += [f"{each.key.symbol}: {each.quantity} of {each.key.strategy_id}" for each in positions]
        found += [f"order {each.order_id} is {each.status}" for each in engine.desk.orders.unsettled()]
        return found

    def _require_nothing(self, obstacles: list[str]) -> None:
        if obstacles:
            raise Refused(
                f"the broker's switch is thrown only when all is halted and flat; {len(obstacles)} in the way: "
                + "; ".join(obstacles[:5])
            )

    def _failed(self, command_id: str, command: BrokerLock, error: FleetError) -> None:
        text = f"the broker's own switch was asked for by {command.sender} ({command.reason}): {error}"
        severity = "error" if isinstance(error, OutcomeUnknown) else "warning"
        self._finish(command_id, _state_of(error), {"error": str(error)}, severity, text)

    def _finish(self, command_id: str, state: str, answer: dict[str, Any], severity: str = "", text: str = "") -> None:
        """End a command; what touched the switch, or may have, is a risk event and goes out on the bus."""
        if self._under_way == command_id:
            self._under_way = ""
        now_us = self._clock.now_us()
        with self._engine.store.transaction() as entry:
            finish_command(entry.connection, command_id, state, answer, now_us)
            if text:
                entry.risk_event("broker_lock", severity, text, now_us)
                event = RiskEvent("broker_lock", now_us, text, trading_state=self._engine.states.account)
                entry.tell("risk", topic("risk", "broker_lock"), event, now_us)


def _open_at_broker(book: BrokerBook) -> list[str]:
    """List what the broker shows as open, ours or anybody's: it would be cancelled, or stay without a way out."""
    found = [f"at the broker {symbol}: {quantity}" for (_, symbol, _), quantity in book.positions.items() if quantity]
    return found + [f"at the broker order {row.broker_order_id}" for row in book.orders if row.status not in FINAL]


def _shown(segments: Iterable[Segment]) -> dict[str, Any]:
    return {"segments": {segment.name: "locked" if segment.is_locked else "open" for segment in segments}}


def _state_of(error: FleetError) -> str:
    return "refused" if isinstance(error, Refused) else "failed"
