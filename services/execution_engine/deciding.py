"""Decisions on signals, with everything about them written in the transaction that moves the cursor."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.contracts.market import TIMEFRAMES
from libs.contracts.risk import RiskEvent
from libs.contracts.signals import SignalEvent
from libs.contracts.topics import topic
from libs.core.clock import US_PER_MINUTE
from libs.core.errors import Refused
from libs.dbaccess.trading import Entry
from libs.dbaccess.trading.entry import ProcessedSignal
from libs.trading.decisions import CancelWanted, Decision, Ignored, Placed, Refusal
from services.execution_engine.books import Books
from services.execution_engine.market_clock import MarketClock
from services.execution_engine.states import States
from services.execution_engine.timing import Timing


class SignalPlace(msgspec.Struct, frozen=True):
    """Where a signal stands in the scanner's store."""

    store_uuid: str
    outbox_seq: int


class Decider:
    """Asks the desk and writes what it says; sends nothing."""

    def __init__(self, books: Books, states: States, market: MarketClock, timing: Timing) -> None:
        self._books = books
        self._desk = books.desk
        self._states = states
        self._market = market
        self._timing = timing

    def decide(self, entry: Entry, signal: SignalEvent, place: SignalPlace) -> list[Decision]:
        """Decide on a signal and write the outcome; nothing comes of one that was decided before."""
        seen = entry.connection.execute(
            "SELECT signal_id FROM processed_signals WHERE signal_id = ? OR (strategy_id = ? AND exchange = ? "
            "AND symbol = ? AND timeframe = ? AND bar_us = ? AND signal_type = ? AND leg = ? "
            "AND decision <> 'duplicate')",
            (signal.signal_id, signal.strategy_id, signal.exchange, signal.symbol, signal.timeframe,
             signal.timestamp_us, signal.signal_type.value, signal.leg),
        ).fetchall()  # fmt: skip
        if any(row[0] == signal.signal_id for row in seen):
            return []
        if seen:
            entry.processed(_processed(signal, place, "duplicate", reason=f"traded as {seen[0][0]}: other parameters"))
            return []
        known_us = signal.timestamp_us + TIMEFRAMES[signal.timeframe] * US_PER_MINUTE
        now_us = self._market.decided_us(known_us)
        state = self._desk.gate.state
        # The strictest state of account, strategy and instrument holds for this decision.
        state.trading_state = self._states.of(signal.strategy_id, signal.exchange, signal.symbol)
        try:
            decisions = self._desk.on_signal(signal, now_us, known_us=known_us)
        except Refused as e:
            decisions = [Ignored(signal.signal_id, str(e))]
        finally:
            state.trading_state = self._states.account
        self._timing.decided()
        self.write(entry, signal.signal_id, decisions, now_us)
        entry.processed(_outcome(signal, place, decisions))
        return decisions

    def write(self, entry: Entry, signal_id: str, decisions: Iterable[Decision], now_us: int) -> None:
        """Write what was decided: intents, refusals with their figures."""
        for decision in decisions:
            if isinstance(decision, Placed):
                self._books.intent(entry, decision.order, decision.reason)
            elif isinstance(decision, Refusal):
                request, rejected = decision.request, decision.rejected
                entry.risk_event(
                    "rejected", "warning" if rejected.check in _EXIT_WORRIES else "info", rejected.reason, now_us,
                    check=rejected.check, strategy_id=request.strategy_id, exchange=request.exchange,
                    symbol=request.symbol, signal_id=signal_id, figures=rejected.figures,
                )  # fmt: skip
                event = RiskEvent(
                    "rejected", now_us, rejected.reason, rejected.check, dict(rejected.figures), request.strategy_id,
                    request.symbol, request.exchange, signal_id, request.order_id,
                )  # fmt: skip
                entry.tell("risk", topic("risk", "rejected"), event, now_us)
                entry.latency(**self._timing.refused(decision))


#: A rejected exit leaves a position unprotected for these; somebody should look.
_EXIT_WORRIES = {"exit_quantity", "order_rate", "freeze", "lot", "tick"}


def _outcome(signal: SignalEvent, place: SignalPlace, decisions: list[Decision]) -> ProcessedSignal:
    placed = [decision for decision in decisions if isinstance(decision, Placed)]
    if placed:
        return _processed(signal, place, "approved", order_id=placed[-1].order.order_id)
    for decision in decisions:
        if isinstance(decision, Refusal):
            kind = "stale" if decision.rejected.check == "stale_signal" else "rejected"
            return _processed(signal, place, kind, reason=f"{decision.rejected.check}: {decision.rejected.reason}")
    reasons = "; ".join(d.reason for d in decisions if isinstance(d, (Ignored, CancelWanted)))
    return _processed(signal, place, "ignored", reason=reasons)


def _processed(
    signal: SignalEvent, place: SignalPlace, decision: str, *, order_id: str = "", reason: str = ""
) -> ProcessedSignal:
    return ProcessedSignal(
        signal_id=signal.signal_id, store_uuid=place.store_uuid, outbox_seq=place.outbox_seq,
        strategy_id=signal.strategy_id, exchange=signal.exchange, symbol=signal.symbol, timeframe=signal.timeframe,
        bar_us=signal.timestamp_us, signal_type=signal.signal_type.value, leg=signal.leg, decision=decision,
        order_id=order_id, reason=reason,
    )  # fmt: skip
