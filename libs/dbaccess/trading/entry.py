"""One transaction on the trading store: orders, trades and positions of one decision or one piece of evidence."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from libs.core.clock import trading_date
from libs.dbaccess.outbox import Outbox
from libs.dbaccess.trading import rows
from libs.orders import evidence as ev
from libs.orders.model import Fill, FillKey, Order
from libs.orders.news import Anomaly, AnyNews, FillRecorded, FillReversed, TermsChanged, Transition
from libs.orders.positions import Position, PositionKey

_EVENT = """
INSERT INTO order_events (order_id, kind, sequence, status_from, status_to, cause, quantity_traded, fill_pending,
    reason, detail_json, at_us, recorded_at_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class Message(msgspec.Struct, frozen=True):
    """Something to publish once its transaction is durable."""

    topic: str
    seq: int
    payload: Any
    event_us: int


class ExitPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What guards an open position, as it is stored. `leave_at_us` 0: no time."""

    key: PositionKey
    signal_id: str = ""
    stop: float | None = None
    target: float | None = None
    trail: float = 0.0
    best: float = 0.0
    leave_at_us: int = 0


class ProcessedSignal(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a signal."""

    signal_id: str
    store_uuid: str
    outbox_seq: int
    strategy_id: str
    exchange: str
    symbol: str
    timeframe: str
    bar_us: int
    signal_type: str
    leg: int
    decision: str
    order_id: str = ""
    reason: str = ""


class Entry:
    """Writes inside an open transaction. What it collects in `messages` is published after the commit."""

    def __init__(self, connection: sqlite3.Connection, outbox: Outbox, now_us: int) -> None:
        self.connection = connection
        self.now_us = now_us
        self.messages: list[Message] = []
        self._outbox = outbox

    def tell(self, stream: str, topic: str, payload: Any, timestamp_us: int) -> None:
        """Store a message of a stream; it goes out after the commit."""
        seq = self._outbox.append(stream, topic, payload, timestamp_us, self.now_us)
        self.messages.append(Message(topic, seq, payload, timestamp_us))

    # -- orders -------------------------------------------------------------------------------------------------------

    def intent(self, order: Order, cause: str) -> None:
        """Write a new intent. A replacement goes in after what it replaces."""
        self.connection.execute(rows.ORDER_INSERT, rows.intent_row(order))
        self._event(order.order_id, "intent", cause, order.created_us, detail=msgspec.to_builtins(order))

    def order(
        self, order: Order, before: Order | None, evidence: ev.AnyEvidence, news: Iterable[AnyNews], fees_paise: int
    ) -> None:
        """Write an order as it is now, what changed of its broker orders, and every event with its cause."""
        self.connection.execute(rows.ORDER_UPDATE, rows.order_row(order, fees_paise, self.now_us))
        known = () if before is None else before.children
        for child in order.children:
            if child not in known:
                self.connection.execute(rows.CHILD_UPSERT, rows.child_row(order, child, self.now_us))
        tag = str(evidence.__struct_config__.tag)
        detail = msgspec.to_builtins(evidence)
        has_transition = False
        for item in news:
            has_transition |= self._news(item, tag, detail)
        if not has_transition:
            self._event(order.order_id, "evidence", tag, evidence.at_us, detail=detail)

    def _news(self, item: AnyNews, cause: str, detail: Any) -> bool:
        match item:
            case Transition():
                self.connection.execute(
                    _EVENT,
                    (item.order_id, "transition", item.sequence, item.status_from.value, item.status_to.value,
                     item.cause, item.quantity_traded, item.fill_pending, item.reason, _json(detail), item.at_us,
                     self.now_us),
                )  # fmt: skip
                return True
            case FillRecorded():
                self._event(item.order_id, "fill", cause, item.at_us, detail=msgspec.to_builtins(item.fill))
            case FillReversed():
                self._event(item.order_id, "fill_reversed", cause, item.at_us, detail={"key": list(item.key)})
            case TermsChanged():
                self._event(item.order_id, "terms_changed", cause, item.at_us, detail=msgspec.to_builtins(item))
            case Anomaly():
                self._event(item.order_id, "anomaly", item.kind, item.at_us, item.detail)
        return False

    def _event(self, order_id: str, kind: str, cause: str, at_us: int, reason: str = "", detail: Any = None) -> None:
        self.connection.execute(
            _EVENT,
            (order_id, kind, None, None, None, cause, None, None, reason, _json(detail or {}), at_us, self.now_us),
        )

    # -- holdings -----------------------------------------------------------------------------------------------------

    def trade(self, order: Order, fill: Fill, profit_paise: int | None) -> None:
        """Write a fill; the same one twice breaks the key, and that is a bug upstream."""
        self.connection.execute(rows.TRADE_INSERT, rows.trade_row(order, fill, profit_paise, self.now_us))

    def reverse(self, key: FillKey) -> None:
        """Mark a trade as annulled."""
        self.connection.execute(
            "UPDATE trades SET status = 'reversed' "
            "WHERE trading_date = ? AND exchange = ? AND broker_order_id = ? AND trade_id = ?",
            key,
        )

    def position(self, position: Position, mark: float, trades: int) -> None:
        """Write a position; a flat one loses its exit plan."""
        if not position.quantity:
            self.drop_exit_plan(position.key)
        self.connection.execute(rows.POSITION_UPSERT, rows.position_row(position, mark, trades, self.now_us))

    def adjustment(self, adjustment_id: str, fill: Fill, kind: str, evidence: Any, made_by: str) -> bool:
        """Write a change of position that no order of ours made; say whether it is new."""
        signed = fill.quantity if fill.side.value == "buy" else -fill.quantity
        done = self.connection.execute(
            "INSERT OR IGNORE INTO adjustments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (adjustment_id, fill.strategy_id, fill.exchange, fill.symbol, fill.product.value, signed, fill.price, kind,
             _json(evidence), made_by, fill.timestamp_us, self.now_us),
        )  # fmt: skip
        return done.rowcount == 1

    def exit_plan(self, plan: ExitPlan) -> None:
        """Write what guards a position."""
        key = plan.key
        self.connection.execute(
            "INSERT OR REPLACE INTO exit_plans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?)",
            (key.strategy_id, key.exchange, key.symbol, key.product.value, plan.signal_id, plan.stop or None,
             plan.target or None, plan.trail or None, plan.best or None, plan.leave_at_us or None, self.now_us),
        )  # fmt: skip

    def drop_exit_plan(self, key: PositionKey) -> None:
        """Forget what guarded a position."""
        self.connection.execute(
            "DELETE FROM exit_plans WHERE strategy_id = ? AND exchange = ? AND symbol = ? AND product = ?",
            (key.strategy_id, key.exchange, key.symbol, key.product.value),
        )

    # -- signals ------------------------------------------------------------------------------------------------------

    def processed(self, signal: ProcessedSignal) -> None:
        """Write what became of a signal."""
        s = signal
        self.connection.execute(
            "INSERT INTO processed_signals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (s.signal_id, s.store_uuid, s.outbox_seq, s.strategy_id, s.exchange, s.symbol, s.timeframe, s.bar_us,
             s.signal_type, s.leg, s.decision, s.order_id or None, s.reason, self.now_us),
        )  # fmt: skip

    def barrier_miss(self, exchange: str, timeframe: str, bar_us: int, waited_us: int, now_us: int) -> None:
        """Write that a bar was gone past without the scanner's word that the minute before it was decided."""
        self.connection.execute(
            "INSERT INTO barrier_misses VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (exchange, timeframe, bar_us, waited_us, now_us),
        )

    def cursor(self, source: str, store_uuid: str, outbox_seq: int) -> None:
        """Say how far a source of signals was read."""
        self.connection.execute(
            "INSERT INTO signal_cursors VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "store_uuid = excluded.store_uuid, outbox_seq = excluded.outbox_seq, "
            "updated_at_us = excluded.updated_at_us",
            (source, store_uuid, outbox_seq, self.now_us),
        )

    # -- risk and latencies -------------------------------------------------------------------------------------------

    def risk_event(
        self, kind: str, severity: str, reason: str, timestamp_us: int, *, check: str = "", strategy_id: str = "",
        exchange: str = "", symbol: str = "", signal_id: str = "", order_id: str = "",
        figures: Mapping[str, float] | None = None,
    ) -> None:  # fmt: skip
        """Write something risk did or saw, with its figures."""
        self.connection.execute(
            "INSERT INTO risk_events (kind, severity, check_name, strategy_id, exchange, symbol, signal_id_reference, "
            "order_id, reason, figures_json, timestamp_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (kind, severity, check, strategy_id, exchange, symbol, signal_id or None, order_id or None, reason,
             _json(dict(figures or {})), timestamp_us),
        )  # fmt: skip

    def latency(self, **columns: Any) -> None:
        """Write one line of the execution log."""
        names = ", ".join(columns)
        places = ", ".join("?" * (len(columns) + 1))
        self.connection.execute(
            f"INSERT INTO execution_log (recorded_at_us, {names}) VALUES ({places})",  # our own names
            (self.now_us, *columns.values()),
        )

    def snapshot(self, **columns: Any) -> None:
        """Write the whole account at one moment; a second one of the same moment and kind replaces it."""
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        self.connection.execute(
            f"INSERT OR REPLACE INTO portfolio_snapshots ({names}) VALUES ({places})",
            tuple(columns.values()),
        )

    def trading_day(self, day_us: int, equity_start_paise: int, equity_high_paise: int, orders_sent: int) -> None:
        """Write the figures a day's limits are measured against."""
        self.connection.execute(
            "INSERT INTO trading_days VALUES (?, ?, ?, ?, NULL, ?) ON CONFLICT DO UPDATE SET "
            "equity_high_paise = excluded.equity_high_paise, orders_sent = excluded.orders_sent, "
            "updated_at_us = excluded.updated_at_us",
            (trading_date(day_us).isoformat(), equity_start_paise, equity_high_paise, orders_sent, self.now_us),
        )


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
