"""A desk on the simulated exchange for tests: one or two symbols, bars and signals by the minute."""

from __future__ import annotations

from typing import Any

from libs.contracts.market import OHLCVBar
from libs.contracts.sessions import Session
from libs.contracts.signals import SignalEvent, SignalType
from libs.core.clock import trading_date
from libs.orders.charges import ChargeBook
from libs.orders.fills import FillSettings
from libs.orders.news import FillRecorded
from libs.risk.gate import Gate
from libs.risk.limits import LimitTree
from libs.settings.risk import Risk
from libs.trading.desk import Desk
from libs.trading.exits import ExitRules
from libs.trading.loop import TradingLoop
from libs.trading.plan import Plan
from libs.trading.sizing import FixedQuantity
from tests.kit.orders import MINUTE_US, OPEN_US
from tests.kit.risk import make_gate

CASH_PAISE = 10_000_000_00


def session_of(day):
    """09:15 to 15:30 on the test's own days."""
    shift_us = (day - trading_date(OPEN_US)).days * 1_440 * MINUTE_US
    start = OPEN_US + shift_us
    return Session("nse", day, ((start, start + 375 * MINUTE_US),), start)


def make_loop(
    *, rules: ExitRules | None = None, fills: FillSettings | None = None, charges: ChargeBook | None = None,
    sizing: Any = None, kind: Any = TradingLoop, **limits: Any,
) -> TradingLoop:  # fmt: skip
    """Fixed quantity 10, no exits but those given, no charges, a thousand trades a day; `kind` makes the loop."""
    risk = Risk(**{"symbol_trades_day_max": 0, "strategy_trades_day_max": 0, "account_trades_day_max": 0} | limits)
    gate = Gate(make_gate().state, LimitTree(risk))
    plans = [
        Plan(strategy_id=name, sizing=sizing or FixedQuantity(10), exits=rules or ExitRules(square_off=False))
        for name in ("trend", "revert")
    ]
    desk = Desk(gate=gate, plans=plans, cash_paise=CASH_PAISE, charges=charges, risk=risk)
    return kind(desk, fills or FillSettings(), session_of)


def bar(minute: int, open_: float, high: float = 0, low: float = 0, close: float = 0, **changes: Any) -> OHLCVBar:
    prices = {"high": high or open_, "low": low or open_, "close": close or open_}
    return OHLCVBar(changes.pop("symbol", "ACME"), "1m", OPEN_US + minute * MINUTE_US, open_, volume=1_000, **prices)


def signal(minute: int, kind: str, **changes: Any) -> SignalEvent:
    fields = {"strategy_id": "trend", "symbol": "ACME"} | changes
    name = f"{fields['strategy_id']}-{fields['symbol']}-{minute}-{kind}"
    return SignalEvent(
        signal_id=name, timestamp_us=OPEN_US + minute * MINUTE_US, signal_type=SignalType(kind), **fields
    )


def run(loop: TradingLoop, minutes: dict[int, tuple[list[OHLCVBar], list[SignalEvent]]]) -> list[Any]:
    """Run the minutes in order and give every event."""
    events: list[Any] = []
    for minute in sorted(minutes):
        bars, signals = minutes[minute]
        events += loop.on_bars(OPEN_US + minute * MINUTE_US, bars)
        events += loop.on_signals(OPEN_US + (minute + 1) * MINUTE_US, signals)
    return events


def fills_of(events: list[Any]) -> list[Any]:
    return [event.fill for event in events if isinstance(event, FillRecorded)]
