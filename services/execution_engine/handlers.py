"""Commands, done: each is written before it is done, and a repeat of its id gets the first answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from libs.contracts.bus import CommandRequest
from libs.contracts.risk import TradingState
from libs.core.clock import Clock
from libs.core.errors import FleetError, Refused
from libs.core.faults import crash_point
from libs.dbaccess.trading.control import (
    StateChange,
    accept_command,
    finish_command,
    known_command,
    lift_drawdown,
    unfinished_commands,
)
from libs.orders import evidence as ev
from libs.runtime.commands import logged
from services.execution_engine import commands as cmd
from services.execution_engine.changing import change_terms
from services.execution_engine.clearance import Clearance
from services.execution_engine.closing import Closing, Job
from services.execution_engine.engine import Engine
from services.execution_engine.last_lock import LastLock
from services.execution_engine.replacing import Replacement

#: Done again when the engine ended in the middle of them: doing them twice is safe, and not doing them is not.
_SAFE_TO_REPEAT = frozenset({"halt", "reduce", "flatten", "square_off", "cancel", "replace"})


class Handlers:
    """The engine's command socket hands every request to `handle`."""

    def __init__(
        self, engine: Engine, closing: Closing, clock: Clock, *, kill_file: Path,
        status: Callable[[], dict[str, Any]], reconcile: Callable[[], None], last_lock: LastLock,
        clearance: Clearance,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._closing = closing
        self._clock = clock
        self._kill_file = kill_file
        self._status = status
        self._reconcile = reconcile
        self._last_lock = last_lock
        self._clearance = clearance
        #: Does a command and gives its answer; raises `Refused` for what cannot be done.
        self.handle = logged(self._handle)

    def _handle(self, request: CommandRequest) -> Any:
        command = cmd.parse(request.name, request.arguments)
        if isinstance(command, cmd.Status):
            return self._status()
        connection = self._engine.store.session.connection
        known = known_command(connection, request.command_id)
        if known is not None:
            return _answered_before(*known)
        arguments = msgspec.to_builtins(command)
        with self._engine.store.transaction() as entry:
            now_us = self._clock.now_us()
            accept_command(entry.connection, request.command_id, request.name, arguments, command.sender, now_us)
        crash_point("engine.command.accepted")
        return self._run(request.command_id, command)

    def resume_unfinished(self) -> None:
        """Do again what an earlier process left undone, or say that it was left; then whether today is cleared."""
        for command_id, name, arguments in unfinished_commands(self._engine.store.session.connection):
            if name not in _SAFE_TO_REPEAT:
                self._finish(command_id, "failed", {"error": "the engine ended before it was done; ask again"})
                continue
            try:
                self._run(command_id, cmd.parse(name, arguments))
            except Refused:
                continue  # written as refused
        self._clearance.demand()

    def _run(self, command_id: str, command: cmd.Command) -> Any:
        try:
            answer, is_done = self._do(command_id, command)
        except FleetError as e:
            state = "refused" if isinstance(e, Refused) else "failed"
            self._finish(command_id, state, {"error": str(e)})
            raise
        if is_done:
            self._finish(command_id, "done", answer)
        return answer

    def _finish(self, command_id: str, state: str, answer: Any) -> None:
        with self._engine.store.transaction() as entry:
            finish_command(entry.connection, command_id, state, answer, self._clock.now_us())

    def _do(self, command_id: str, command: cmd.Command) -> tuple[dict[str, Any], bool]:
        """Give the answer, and whether the command is over; one that closes or replaces goes on."""
        answer: dict[str, Any]
        match command:
            case cmd.Halt():  # and Reduce, its child
                return self._halt(command_id, command)
            case cmd.Flatten() | cmd.SquareOff():
                symbol = command.symbol if isinstance(command, cmd.SquareOff) else ""
                return {"state": "under way", **self._closing.begin(Job(command_id, symbol))}, False
            case cmd.Replace():
                self._require_order(command.order_id)
                return self._closing.replacing.begin(Replacement(command_id, command.order_id, command.price)), False
            case cmd.BrokerSwitch():
                return self._last_lock.look(command_id), False
            case cmd.BrokerLock():
                return self._last_lock.begin(command_id, command), False
            case cmd.Resume():
                answer = self._resume(command_id, command)
            case cmd.Preflight():
                answer = self._clearance.take(command_id, command)
            case cmd.Cancel():
                answer = {"cancelled": self._cancel(command)}
            case cmd.Modify():
                answer = self._modify(command)
            case cmd.Settle():
                answer = self._settle(command)
            case _:
                self._reconcile()
                answer = {"state": "asked for"}
        return answer, True

    def _modify(self, command: cmd.Modify) -> dict[str, Any]:
        self._require_order(command.order_id)
        change_terms(self._engine, command)
        return {"state": "sent"}

    def _settle(self, command: cmd.Settle) -> dict[str, Any]:
        self._require_order(command.order_id)
        verdict = ev.OperatorVerdict(at_us=self._clock.now_us(), operator=command.sender, reason=command.reason)
        with self._engine.store.transaction() as entry:
            self._engine.books.take(entry, command.order_id, verdict)
        return {"status": self._engine.desk.orders.get(command.order_id).status.value}

    def _halt(self, command_id: str, command: cmd.Halt) -> tuple[dict[str, Any], bool]:
        state = TradingState.REDUCING if isinstance(command, cmd.Reduce) else TradingState.HALTED
        self._engine.states.change(self._change(command_id, command, state))
        answer: dict[str, Any] = {"state": state.value}
        if not command.flatten:
            return answer, True
        symbol = command.scope.partition(":")[2] if command.scope_kind == "instrument" else ""
        return answer | self._closing.begin(Job(command_id, symbol)), False

    def _resume(self, command_id: str, command: cmd.Resume) -> dict[str, Any]:
        if self._kill_file.exists():
            raise Refused(f"{self._kill_file} is there: remove it first")
        engine, state = self._engine, self._engine.desk.gate.state
        with engine.store.transaction() as entry:
            engine.states.write(entry, self._change(command_id, command, TradingState.ACTIVE))
            if command.scope_kind == "account" and state.locks.is_drawdown:
                state.equity = msgspec.structs.replace(state.equity, peak_paise=state.equity.now_paise)
                state.locks = msgspec.structs.replace(state.locks, is_drawdown=False)
                lift_drawdown(
                    entry.connection, command.sender, command.reason, self._clock.now_us(),
                    equity_paise=state.equity.peak_paise,
                )  # fmt: skip
        return {"state": TradingState.ACTIVE.value}

    def _change(self, command_id: str, command: cmd.Halt | cmd.Resume, state: TradingState) -> StateChange:
        return StateChange(
            state=state, cause="command", reason=command.reason, set_by=command.sender, at_us=self._clock.now_us(),
            scope_kind=command.scope_kind, scope=command.scope, command_id=command_id,
        )  # fmt: skip

    def _cancel(self, command: cmd.Cancel) -> int:
        if command.order_id:
            self._require_order(command.order_id)
            return int(self._engine.cancel(command.order_id, command.reason))
        alive = list(self._engine.desk.orders.unsettled())
        return sum(self._engine.cancel(order.order_id, command.reason) for order in alive)

    def _require_order(self, order_id: str) -> None:
        if order_id not in self._engine.desk.orders:
            raise Refused(f"there is no order {order_id} of today, and none that is unsettled; see `fleet orders`")


def _answered_before(state: str, answer: Any) -> Any:
    if state == "accepted":
        return {"state": "under way"}
    if state in {"refused", "failed"}:
        raise Refused(str((answer or {}).get("error", state)))
    return answer
