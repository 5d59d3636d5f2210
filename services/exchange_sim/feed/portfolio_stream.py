"""The portfolio stream: JSON text events, without sequence numbers and without replay, as the broker's."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from services.exchange_sim.exchange.account import Position
from services.exchange_sim.faults.plan import FaultPlan
from services.exchange_sim.feed.connections import PORTFOLIO, SentLog, StreamConnection
from services.exchange_sim.wire import USER_ID, position_row

UPDATE_TYPES = ("order", "position", "holding", "gtt_order")


class PortfolioConnection(StreamConnection):
    """One client's portfolio events."""

    def __init__(
        self, number: int, request: web.Request, update_types: frozenset[str], faults: FaultPlan, log: SentLog,
        **limits: Any,
    ) -> None:  # fmt: skip
        super().__init__(number, PORTFOLIO, request, faults, log, **limits)
        self.update_types = update_types

    def describe(self) -> dict[str, Any]:
        """Say what is known about the connection, for `/_sim/state`."""
        return super().describe() | {"update_types": sorted(self.update_types)}


class PortfolioStream:
    """Sends events to whoever asked for their type; loses, doubles and delays them on demand."""

    def __init__(self, faults: FaultPlan) -> None:
        self.connections: list[PortfolioConnection] = []
        #: Events made so far by type, sent or not.
        self.made: dict[str, int] = {}
        self._faults = faults

    def send(self, update_type: str, event: dict[str, Any]) -> None:
        """Send an event, faults permitting."""
        self.made[update_type] = self.made.get(update_type, 0) + 1
        payload = msgspec.json.encode(event).decode()
        if self._faults.strike("portfolio_lost", update_type=update_type):
            return
        if delay := self._faults.strike("portfolio_delay", update_type=update_type):
            loop = asyncio.get_running_loop()
            loop.call_later(delay.parameters["delay_s"], self._push, update_type, payload)
            return
        self._push(update_type, payload)
        if self._faults.strike("portfolio_duplicate", update_type=update_type):
            self._push(update_type, payload)

    def send_position(self, position: Position, price: float) -> None:
        """Send a position's event."""
        row = position_row(position, price, price)
        event = {"update_type": "position", "user_id": USER_ID, "instrument_key": row["instrument_token"], **row}
        self.send("position", event)

    def _push(self, update_type: str, payload: str) -> None:
        for connection in self.connections:
            if update_type in connection.update_types:
                connection.push(payload)
