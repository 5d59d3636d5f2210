"""Requests to the broker and their answers as evidence. What an answer proves is decided here and nowhere else."""

from __future__ import annotations

from typing import Protocol

import msgspec

from libs.orders import evidence as ev
from libs.orders.model import Change, Order
from libs.risk.verdict import Approved


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one request. No evidence: it may or may not have arrived, and reports will tell."""

    order_id: str
    request: str
    evidence: ev.AnyEvidence | None
    outcome: str
    sent_ns: int = 0
    answered_ns: int = 0


class Wire(Protocol):
    """Carries requests away. Each is answered by one `Engine.answered`, at once or later, in the engine's thread."""

    def place(self, order: Order, approved: Approved) -> None:
        """Send a new order, once."""
        ...

    def cancel(self, order: Order, number: int) -> None:
        """Ask to cancel whatever of the order may be alive."""
        ...

    def change(self, order: Order, change: Change) -> None:
        """Ask for other terms."""
        ...
