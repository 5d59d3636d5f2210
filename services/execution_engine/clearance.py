"""Whether a day may be traded: with real money only after `fleet preflight` said GO, or was overridden."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec

from libs.contracts.risk import TradingState
from libs.core.clock import Clock, day_start_us, trading_date
from libs.dbaccess.trading.control import StateChange
from services.execution_engine.commands import Preflight
from services.execution_engine.engine import Engine
from services.execution_engine.states import ACCOUNT
from services.execution_engine.watch import RULE

CAUSE = "preflight"
_LAST = (
    "SELECT answer_json FROM commands WHERE kind = 'preflight' AND state = 'done' AND received_at_us >= ? "
    "ORDER BY received_at_us DESC LIMIT 1"
)


class Clearance:
    """Keeps the account at exits only until the day is cleared. The verdicts are commands, so they are all on record.

    The last verdict of a day holds, over restarts too; the next day needs its own.
    """

    def __init__(self, engine: Engine, clock: Clock, *, is_needed: bool) -> None:
        self._engine = engine
        self._clock = clock
        self._is_needed = is_needed
        self._cleared: date | None = None

    def demand(self) -> None:
        """Allow exits only while the day is not cleared."""
        today = trading_date(self._clock.now_us())
        if not self._is_needed or self._cleared == today:
            return
        if self._was_cleared(today):
            self._cleared = today
            return
        self._reduce(f"{today} has no GO: `fleet preflight`, or `fleet preflight --override REASON`")

    def take(self, command_id: str, command: Preflight) -> dict[str, Any]:
        """Take a verdict; give whether the day may be traded."""
        cleared = command.verdict == "GO" or bool(command.override)
        now_us = self._clock.now_us()
        failed = ", ".join(command.failed)
        if not cleared:
            self._cleared = None
            if self._is_needed:
                self._reduce(f"preflight said NO-GO: {failed}")
            return {"cleared": False}
        self._cleared = trading_date(now_us)
        reason = f"NO-GO ({failed}) overridden: {command.override}" if command.override else "preflight said GO"
        if self._engine.states.find(ACCOUNT).cause == CAUSE:
            self._engine.states.change(
                StateChange(
                    state=TradingState.ACTIVE, cause=CAUSE, reason=reason, set_by=command.sender, at_us=now_us,
                    command_id=command_id,
                )
            )  # fmt: skip
        return {"cleared": True}

    def _was_cleared(self, today: date) -> bool:
        row = self._engine.store.session.connection.execute(_LAST, (day_start_us(today),)).fetchone()
        return bool(row and row[0] and msgspec.json.decode(row[0]).get("cleared"))

    def _reduce(self, reason: str) -> None:
        self._engine.states.tighten(
            StateChange(
                state=TradingState.REDUCING, cause=CAUSE, reason=reason, set_by=RULE, at_us=self._clock.now_us()
            )
        )
