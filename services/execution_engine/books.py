"""The desk and the store, moved together: what one piece of evidence changes is one transaction's rows and messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from libs.contracts.orders import OrderEvent, TradeEvent, TradeStatus
from libs.contracts.risk import PositionEvent
from libs.contracts.topics import topic
from libs.core.money import rupees
from libs.dbaccess.trading import Entry
from libs.dbaccess.trading.entry import ExitPlan
from libs.dbaccess.trading.rows import direction_of
from libs.orders import evidence as ev
from libs.orders.lifecycle import ContradictoryEvidence
from libs.orders.model import Fill, Order
from libs.orders.news import AnyNews, FillRecorded, FillReversed
from libs.orders.positions import Position, PositionKey, after_fill
from libs.trading.desk import Desk
from libs.trading.exits import NEVER_US, Protection, is_pulled


class Books:
    """Applies evidence to the desk and writes all that follows from it."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.guarded: dict[str, list[PositionKey]] = {}
        self._fees: Counter[str] = Counter()
        self._trades: Counter[PositionKey] = Counter()
        self._stored_guards: dict[PositionKey, Protection] = {}

    def restored(self, fills: Iterable[Fill], trades: Mapping[PositionKey, int]) -> None:
        """Count what the store gave back: fills, and how many trades made each position before them."""
        self._trades.update(trades)
        for fill in fills:
            self._count(fill)
        self._stored_guards = dict(self.desk.guards)
        self._index_guards()

    def intent(self, entry: Entry, order: Order, reason: str) -> None:
        """Write an intent the desk just made, and tell it."""
        entry.intent(order, reason or "decision")
        self._tell_order(entry, order)

    def take(self, entry: Entry, order_id: str, evidence: ev.AnyEvidence) -> list[AnyNews]:
        """Merge evidence about an order of ours; raise `ContradictoryEvidence` when it cannot be true."""
        before = self.desk.orders.get(order_id)
        positions = {fill_key: self.desk.positions.get(fill_key) for fill_key in self._keys(before)}
        news = self.desk.take(order_id, evidence)
        order = self.desk.orders.get(order_id)
        if order is before:
            return news
        touched: dict[PositionKey, Position] = {}
        rows: list[tuple[Fill, int | None]] = []
        for item in news:
            if isinstance(item, FillRecorded):
                fill = item.fill
                key = _key(fill)
                self._count(fill)
                at = positions.get(key) or self.desk.positions.get(key)
                positions[key] = after_fill(at, fill)
                closes = at.quantity != 0 and (at.quantity > 0) != (fill.side.value == "buy")
                rows.append((fill, positions[key].realised_paise - at.realised_paise if closes else None))
                touched[key] = self.desk.positions.get(key)
        entry.order(order, before, evidence, news, self._fees[order_id])
        for fill, profit in rows:
            entry.trade(order, fill, profit)
            self._tell_trade(entry, order, fill, TradeStatus.FILLED)
        for item in news:
            if isinstance(item, FillReversed):
                entry.reverse(item.key)
                undone = next(fill for fill in order.fills if fill.key == item.key)
                self._tell_trade(entry, order, undone, TradeStatus.REVERSED)
                touched[_key(undone)] = self.desk.positions.get(_key(undone))
        for position in touched.values():
            self.write_position(entry, position)
        if touched:
            self.write_guards(entry)
        self._tell_order(entry, order)
        return news

    def owner_of(self, evidence: ev.BrokerReport | ev.TradeReport) -> str | None:
        """Name the order of ours that evidence is about: by tag, else by the broker's id."""
        orders = self.desk.orders
        if isinstance(evidence, ev.TradeReport):
            return orders.owner_of(evidence.fill.broker_order_id)
        return evidence.tag if evidence.tag in orders else orders.owner_of(evidence.broker_order_id)

    def route(self, entry: Entry, evidence: ev.BrokerReport | ev.TradeReport) -> list[AnyNews]:
        """Merge what the broker reports; what is nobody's, or not yet, waits in memory and is asked for again."""
        owner = self.owner_of(evidence)
        if owner is None:
            return list(self.desk.orders.route(evidence))
        return self.take(entry, owner, evidence)

    def write_position(self, entry: Entry, position: Position) -> None:
        """Write and tell a position at its last price."""
        key = position.key
        mark = self.desk.gate.state.symbol(key.exchange, key.symbol).price
        entry.position(position, mark, self._trades[key])
        entry.tell(
            "positions", topic("position", key.symbol), position_event(position, mark, entry.now_us), entry.now_us
        )

    def write_guards(self, entry: Entry) -> None:
        """Write the exit plans that changed since they were last written."""
        for key, guard in self.desk.guards.items():
            if self._stored_guards.get(key) != guard:
                entry.exit_plan(plan_of(key, guard))
        self._stored_guards = dict(self.desk.guards)
        self._index_guards()

    def guards_changed(self) -> bool:
        """Say whether a guard moved since it was written."""
        return self._stored_guards != self.desk.guards

    def _index_guards(self) -> None:
        self.guarded = {}
        for key in sorted(self.desk.guards):
            self.guarded.setdefault(key.symbol, []).append(key)

    def _count(self, fill: Fill) -> None:
        self._fees[fill.order_id] += fill.fees_paise
        self._trades[_key(fill)] += 1

    def _keys(self, order: Order) -> tuple[PositionKey, ...]:
        return (PositionKey(order.strategy_id, order.symbol, order.exchange, order.product),)

    def _tell_order(self, entry: Entry, order: Order) -> None:
        entry.tell("orders", topic("order", order.symbol), order_event(order, entry.now_us), entry.now_us)

    def _tell_trade(self, entry: Entry, order: Order, fill: Fill, status: TradeStatus) -> None:
        event = TradeEvent(
            fill.trade_id, order.signal_id, fill.timestamp_us, fill.symbol, status, direction_of(order), fill.quantity,
            fill.price, rupees(fill.fees_paise), fill.exchange, order.strategy_id, order.order_id, fill.side,
        )  # fmt: skip
        entry.tell("trades", topic("trade", fill.symbol), event, fill.timestamp_us)


def order_event(order: Order, now_us: int) -> OrderEvent:
    """Spell an order for the bus."""
    return OrderEvent(
        order.order_id, order.signal_id, now_us, order.symbol, order.order_type, order.side, order.quantity,
        order.price, order.status, order.exchange, order.strategy_id, order.price_trigger, order.quantity_effective,
        ",".join(child.broker_order_id for child in order.children), order.reason,
    )  # fmt: skip


def position_event(position: Position, mark: float, now_us: int) -> PositionEvent:
    """Spell a position for the bus, valued at a price; 0 when none is known."""
    key = position.key
    unrealised = position.unrealised_paise(mark) if mark else 0
    return PositionEvent(
        key.strategy_id, key.symbol, now_us, position.quantity, position.price_average, mark or None,
        rupees(position.realised_paise), rupees(unrealised), rupees(position.fees_paise), key.exchange,
        key.product.value,
    )  # fmt: skip


def plan_of(key: PositionKey, guard: Protection) -> ExitPlan:
    """Spell a guard as a row."""
    leave_at_us = 0 if guard.time_us == NEVER_US else guard.time_us
    return ExitPlan(
        key=key, stop=guard.stop, target=guard.target, trail=guard.trail, best=guard.best, leave_at_us=leave_at_us
    )


def guard_of(plan: ExitPlan, *, is_long: bool, tick_size: float) -> Protection:
    """Read a guard back; the square-off is the day's, and the day sets it."""
    guard = Protection(
        is_long=is_long, tick_size=tick_size, best=plan.best, stop=plan.stop, target=plan.target, trail=plan.trail,
        time_us=plan.leave_at_us or NEVER_US,
    )  # fmt: skip
    return replace(guard, is_trailed=is_pulled(guard))


def _key(fill: Fill) -> PositionKey:
    return PositionKey(fill.strategy_id, fill.symbol, fill.exchange, fill.product)


__all__ = ["Books", "ContradictoryEvidence", "guard_of", "order_event", "plan_of", "position_event"]
