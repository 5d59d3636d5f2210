"""A gate in a quiet market for tests: everything passes until a test changes one thing."""

from __future__ import annotations

from typing import Any

from libs.contracts.orders import OrderType, Side
from libs.contracts.sessions import Session
from libs.core.clock import trading_date
from libs.orders.instrument import Instrument
from libs.orders.positions import Position, PositionKey
from libs.orders.profit import opening_equity
from libs.risk.gate import Gate
from libs.risk.limits import LimitTree, Override
from libs.risk.rates import RateWindows
from libs.risk.request import OrderRequest
from libs.risk.state import RiskState
from libs.settings.risk import Risk
from tests.kit.orders import MINUTE_US, OPEN_US

NOW_US = OPEN_US + 60 * MINUTE_US
DAY = trading_date(OPEN_US)
SESSION = Session("nse", DAY, ((OPEN_US, OPEN_US + 375 * MINUTE_US),), OPEN_US - 15 * MINUTE_US)
WINDOWS = ((1_000_000, 10), (60_000_000, 500), (1_800_000_000, 2000))


def make_gate(*overrides: Override, position: int = 0, **limits: Any) -> Gate:
    """A gate at 10:15 with ACME at 100, a crore of equity, and the default limits but for those given."""
    equity = opening_equity(DAY, 10_000_000_00)
    state = RiskState(day=DAY, equity=equity, rates=RateWindows(WINDOWS, entries_percent=80))
    state.on_session(SESSION, last_entry_before_close_us=30 * MINUTE_US)
    for symbol in ("ACME", "BETA"):
        state.on_instrument(Instrument(symbol=symbol, freeze_quantity=1_000, price_low=50.0, price_high=150.0))
        state.on_price("nse", symbol, 100.0, NOW_US)
    if position:
        state.on_position(Position(PositionKey("trend", "ACME"), position))
    return Gate(state, LimitTree(Risk(**limits), overrides))


def ask(**changes: Any) -> OrderRequest:
    """A market buy of 10 ACME on a fresh signal."""
    fields: dict[str, Any] = {
        "order_id": "tf" + "1" * 32, "signal_id": "s1", "strategy_id": "trend", "symbol": "ACME", "side": Side.BUY,
        "quantity": 10, "order_type": OrderType.MARKET, "signal_us": NOW_US - 1_000_000,
    }  # fmt: skip
    return OrderRequest(**(fields | changes))
