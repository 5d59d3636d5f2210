"""What crosses a process boundary: messages and their topics. Messages grow only by fields with defaults."""

from libs.contracts.health import Health, HealthState
from libs.contracts.market import TIMEFRAMES, Backfilled, FeedGap, MinuteClosed, OHLCVBar, Origin, SessionChanged, Tick
from libs.contracts.orders import OrderEvent, OrderStatus, OrderType, Side, TradeDirection, TradeEvent, TradeStatus
from libs.contracts.signals import Decided, SignalEvent, SignalType

__all__ = [
    "TIMEFRAMES",
    "Backfilled",
    "Decided",
    "FeedGap",
    "Health",
    "HealthState",
    "MinuteClosed",
    "OHLCVBar",
    "OrderEvent",
    "OrderStatus",
    "OrderType",
    "Origin",
    "SessionChanged",
    "Side",
    "SignalEvent",
    "SignalType",
    "Tick",
    "TradeDirection",
    "TradeEvent",
    "TradeStatus",
]
