"""What risk and the books publish: the trading state, decisions against an order, positions."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from libs.contracts.base import Event


class TradingState(StrEnum):
    """What the engine may send. Cancels always pass."""

    ACTIVE = "active"
    REDUCING = "reducing"
    HALTED = "halted"


class RiskEvent(Event, frozen=True, tag="risk"):
    """Something risk did: an order was rejected, the trading state changed, a lock fell.

    `event` names the topic (`rejected`, `state`, `lock`, …); `figures` are the numbers that caused it.
    """

    event: str
    timestamp_us: int
    reason: str
    check: str = ""
    figures: dict[str, float] = msgspec.field(default_factory=dict)
    strategy_id: str = ""
    symbol: str = ""
    exchange: str = "nse"
    signal_id_reference: str = ""
    order_id: str = ""
    trading_state: TradingState | None = None


class PositionEvent(Event, frozen=True, tag="position"):
    """A position after a fill or a mark. Money in rupees, exact to the paisa; `quantity` is signed."""

    strategy_id: str
    symbol: str
    timestamp_us: int
    quantity: int
    price_average: float
    price_last: float | None = None
    realised: Decimal = Decimal(0)
    unrealised: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    exchange: str = "nse"
    product: str = "intraday"
