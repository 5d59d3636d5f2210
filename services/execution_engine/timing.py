"""The execution log's figures: how long each step took from the signal to the broker's answer and the first fill."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.brokers.interface import Answer
from libs.contracts.market import TIMEFRAMES
from libs.contracts.signals import SignalEvent
from libs.core.clock import US_PER_MINUTE, Clock
from libs.dbaccess.trading import TradingStore
from libs.orders.model import Order
from libs.trading.decisions import Refusal


class _Steps(msgspec.Struct):
    """Instants of one order by the monotonic clock, and where its signal came from."""

    begun_ns: int
    decided_ns: int
    journalled_ns: int
    tick_us: int
    signal_to_engine_us: int | None
    sent_ns: int = 0
    is_filled: bool = False
    fill_us: int | None = None


class Timing:
    """Stamps the steps of the order being decided on, and makes rows of them."""

    def __init__(self, clock: Clock, broker: str) -> None:
        self._clock = clock
        self._broker = broker
        self._begun_ns = self._decided_ns = 0
        self._tick_us = 0
        self._lag_us: int | None = None
        self._orders: dict[str, _Steps] = {}

    def begin(self, signal: SignalEvent | None, *, published_us: int = 0) -> None:
        """A signal was taken, or an exit came due."""
        self._begun_ns = self._clock.monotonic_ns()
        self._tick_us = signal.timestamp_us + TIMEFRAMES[signal.timeframe] * US_PER_MINUTE if signal else 0
        self._lag_us = self._clock.now_us() - published_us if published_us else None

    def decided(self) -> None:
        """Risk gave its verdict."""
        self._decided_ns = self._clock.monotonic_ns()

    def journalled(self, order_id: str) -> None:
        """`sending` is committed; the request leaves now."""
        self._orders[order_id] = _Steps(
            self._begun_ns, self._decided_ns, self._clock.monotonic_ns(), self._tick_us, self._lag_us
        )

    def refused(self, refusal: Refusal) -> dict[str, Any]:
        """Give the row of an order risk refused."""
        request = refusal.request
        return {
            "signal_id_reference": request.signal_id or None, "strategy_id": request.strategy_id,
            "symbol": request.symbol, "action": "reject", "broker": self._broker, "tick_us": self._tick_us or None,
            "signal_to_engine_us": self._lag_us, "risk_us": (self._decided_ns - self._begun_ns) // 1000,
            "total_us": (self._clock.monotonic_ns() - self._begun_ns) // 1000, "outcome": refusal.rejected.check,
        }  # fmt: skip

    def answered(self, answer: Answer, order: Order) -> dict[str, Any]:
        """Give the row of a request that was answered, or was not."""
        row: dict[str, Any] = {
            "order_id": order.order_id, "signal_id_reference": order.signal_id or None,
            "strategy_id": order.strategy_id, "symbol": order.symbol,
            "action": "modify" if answer.request == "change" else answer.request, "broker": self._broker,
            "acknowledge_us": max(0, answer.answered_ns - answer.sent_ns) // 1000, "outcome": answer.outcome,
        }  # fmt: skip
        steps = self._orders.get(order.order_id) if answer.request == "place" else None
        if steps is not None:
            steps.sent_ns = answer.sent_ns
            row |= {
                "tick_us": steps.tick_us or None, "signal_to_engine_us": steps.signal_to_engine_us,
                "risk_us": max(0, steps.decided_ns - steps.begun_ns) // 1000,
                "journal_us": max(0, steps.journalled_ns - steps.decided_ns) // 1000,
                "send_us": max(0, answer.sent_ns - steps.journalled_ns) // 1000,
                "total_us": max(0, answer.answered_ns - steps.begun_ns) // 1000, "fill_us": steps.fill_us,
            }  # fmt: skip
        return row

    def filled(self, store: TradingStore, order_id: str) -> None:
        """Note an order's first fill on its row."""
        steps = self._orders.get(order_id)
        if steps is None or steps.is_filled:
            return
        steps.is_filled = True
        since_ns = steps.sent_ns or steps.journalled_ns
        # Of use to the row that the answer makes, where the fill came before it.
        steps.fill_us = max(0, self._clock.monotonic_ns() - since_ns) // 1000
        with store.transaction() as entry:
            entry.connection.execute(
                "UPDATE execution_log SET fill_us = ? WHERE order_id = ? AND action = 'place' AND fill_us IS NULL",
                (steps.fill_us, order_id),
            )

    def forget(self, order_id: str) -> None:
        """Drop the figures of an order that is over."""
        self._orders.pop(order_id, None)
