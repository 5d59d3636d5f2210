"""Orders, evidence and an unreliable broker for tests."""

from __future__ import annotations

import random
from typing import Any

from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.orders import evidence as ev
from libs.orders.model import Fill, Order

#: 2026-02-02 09:15 IST.
OPEN_US = 1_770_003_900_000_000
MINUTE_US = 60_000_000


def make_order(**changes: Any) -> Order:
    """A limit buy of 100, an intent."""
    fields: dict[str, Any] = {
        "order_id": "tf" + "1" * 32, "signal_id": "s1", "strategy_id": "trend", "symbol": "ACME",
        "side": Side.BUY, "order_type": OrderType.LIMIT, "quantity": 100, "price": 100.0, "created_us": OPEN_US,
    }  # fmt: skip
    return Order(**(fields | changes))


def make_fill(quantity: int, trade_id: str = "t1", **changes: Any) -> Fill:
    fields: dict[str, Any] = {
        "exchange": "nse", "broker_order_id": "b1", "trade_id": trade_id, "symbol": "ACME", "side": Side.BUY,
        "quantity": quantity, "price": 100.0, "timestamp_us": OPEN_US,
    }  # fmt: skip
    return Fill(**(fields | changes))


def report(status: OrderStatus, filled: int = 0, **changes: Any) -> ev.BrokerReport:
    fields: dict[str, Any] = {
        "at_us": OPEN_US, "broker_order_id": "b1", "status": status, "quantity": 100, "quantity_filled": filled,
    }  # fmt: skip
    return ev.BrokerReport(**(fields | changes))


def trade(quantity: int, trade_id: str = "t1", **changes: Any) -> ev.TradeReport:
    fill = make_fill(quantity, trade_id, **changes)
    return ev.TradeReport(at_us=fill.timestamp_us, fill=fill)


SENDING = ev.Sending(at_us=OPEN_US)
ACCEPTED = ev.Accepted(at_us=OPEN_US, broker_order_ids=("b1",))
NO_ANSWER = ev.NoAnswer(at_us=OPEN_US, reason="timed out after 7 s")


def random_split(rng: random.Random, total: int, parts_max: int = 5) -> list[int]:
    """Cut a quantity into random positive parts."""
    cuts = sorted(rng.sample(range(1, total), min(rng.randint(0, parts_max - 1), total - 1)))
    return [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]


def unreliable(rng: random.Random, evidence: list[Any]) -> list[Any]:
    """What arrives: everything at least once, some of it again, in any order."""
    arriving = list(evidence) + [item for item in evidence if rng.random() < 0.4]
    rng.shuffle(arriving)
    return arriving
