"""What the desk makes of a signal or an exit: an order to send, a refusal, a cancel, or nothing and why."""

from __future__ import annotations

import msgspec

from libs.orders.model import Order
from libs.risk.request import OrderRequest
from libs.risk.verdict import Approved, Rejected


class Placed(msgspec.Struct, frozen=True):
    """The gate approved; `order` is the intent, already in the books. Commit it, then send it."""

    order: Order
    approved: Approved
    reason: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """The gate rejected what was asked for."""

    request: OrderRequest
    rejected: Rejected


class CancelWanted(msgspec.Struct, frozen=True):
    """A working order is not wanted any more."""

    order_id: str
    reason: str


class Ignored(msgspec.Struct, frozen=True):
    """A signal that asks for nothing: the position is what it wants already."""

    signal_id: str
    reason: str


Decision = Placed | Refusal | CancelWanted | Ignored
