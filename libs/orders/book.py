"""All orders of a day and the way evidence finds them: by our tag, else by the broker's id, else it waits.

A trade carries no tag. One that comes before its order's broker id is known waits here until the id is; one whose
broker order carries no tag of ours is foreign: kept, reported, never applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from libs.core.errors import Corrupt
from libs.orders import evidence as ev
from libs.orders.direct import PlainOrder
from libs.orders.lifecycle import apply
from libs.orders.model import ORDER_ID_PREFIX, Fill, FillKey, Order
from libs.orders.news import AnyNews


class OrderBook:
    """Orders by id, and whose each broker order is."""

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        self._spelled: dict[str, Order] = {}
        self._owners: dict[str, str] = {}
        self._noted: list[PlainOrder] = []
        self._waiting: dict[str, dict[FillKey, ev.TradeReport]] = {}
        self._foreign: set[str] = set()
        for order in orders:
            self.add(order)

    def add(self, order: Order) -> None:
        """Take in a new intent, or an order restored from the store."""
        if order.order_id in self._orders:
            raise Corrupt(f"order {order.order_id} is in the book already: an intent must be decided once")
        self._orders[order.order_id] = order
        for child in order.children:
            if self._waiting or self._foreign or child.broker_order_id in self._owner:
                self._learn(order)
                break
            self._owner[child.broker_order_id] = order.order_id

    def note(self, plain: PlainOrder) -> None:
        """Take in a plain order of a simulation: it is spelled out when somebody asks for any order."""
        self._noted.append(plain)

    def get(self, order_id: str) -> Order:
        """Give the order; raise `KeyError` for a stranger."""
        return self._orders[order_id]

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._orders

    def __iter__(self) -> Iterator[Order]:
        return iter(self._orders.values())

    def listed(self) -> Iterator[Order | PlainOrder]:
        """Give every order as it is kept, in the order they came: plain ones need not be spelled out for a list."""
        yield from self._spelled.values()
        yield from self._noted

    def unsettled(self) -> list[Order]:
        """List what may still trade or still owes us trades, unknown orders among them."""
        return [order for order in self._orders.values() if not order.is_settled]

    def apply(self, order_id: str, evidence: ev.AnyEvidence) -> tuple[AnyNews, ...]:
        """Merge evidence whose order is known, and whatever trades waited for the ids it brought."""
        before = self._orders[order_id]
        order, news = apply(before, evidence)
        if order is before:
            return news
        self._orders[order_id] = order
        if order.children is not before.children:
            for waiting in self._learn(order):
                news += self.apply(order_id, waiting)
        return news

    def put(self, order: Order) -> None:
        """Take in what `libs.orders.direct` made of an order of this book."""
        self._orders[order.order_id] = order
        for child in order.children:
            self._owner[child.broker_order_id] = order.order_id

    def grow(self, order: Order) -> None:
        """Take in what an order of this book became, whose broker orders are the ones it had."""
        self._orders[order.order_id] = order

    def route(self, evidence: ev.BrokerReport | ev.TradeReport) -> tuple[AnyNews, ...]:
        """Find whose evidence this is and merge it."""
        if isinstance(evidence, ev.TradeReport):
            return self._route_trade(evidence)
        owner = evidence.tag if evidence.tag in self._orders else self._owner.get(evidence.broker_order_id)
        if owner is None:
            # A tag of our making that the journal does not hold is foreign too, but `reconcile` raises it.
            self._foreign.add(evidence.broker_order_id)
            return ()
        return self.apply(owner, evidence)

    def owner_of(self, broker_order_id: str) -> str | None:
        """Name our order behind a broker order, if there is one."""
        return self._owner.get(broker_order_id)

    def waiting_trades(self) -> list[Fill]:
        """List trades whose broker order nobody has explained yet."""
        return [r.fill for i, reports in self._waiting.items() if i not in self._foreign for r in reports.values()]

    def foreign_trades(self) -> list[Fill]:
        """List trades of orders that are not ours."""
        return [r.fill for i, reports in self._waiting.items() if i in self._foreign for r in reports.values()]

    def retire(self, order_id: str) -> Order:
        """Drop a settled order of an earlier day, so that the broker may use its ids again."""
        order = self._orders[order_id]
        if not order.is_settled:
            raise Corrupt(f"order {order_id} is {order.status} with {order.fill_pending} fills pending: not settled")
        del self._orders[order_id]
        for child in order.children:
            self._owner.pop(child.broker_order_id, None)
        return order

    @property
    def _orders(self) -> dict[str, Order]:
        if self._noted:
            self._spell_out()
        return self._spelled

    @property
    def _owner(self) -> dict[str, str]:
        if self._noted:
            self._spell_out()
        return self._owners

    def _spell_out(self) -> None:
        noted, self._noted = self._noted, []
        for plain in noted:
            plain.is_spelled = True
            self.add(plain.order())

    def _route_trade(self, report: ev.TradeReport) -> tuple[AnyNews, ...]:
        broker_order_id = report.fill.broker_order_id
        owner = self._owner.get(broker_order_id)
        if owner is not None:
            return self.apply(owner, report)
        self._waiting.setdefault(broker_order_id, {}).setdefault(report.fill.key, report)
        return ()

    def _learn(self, order: Order) -> list[ev.TradeReport]:
        """Note whose the order's broker ids are; give back the trades that waited for them."""
        found: list[ev.TradeReport] = []
        for child in order.children:
            owner = self._owner.setdefault(child.broker_order_id, order.order_id)
            if owner != order.order_id:
                raise Corrupt(f"broker order {child.broker_order_id} belongs to {owner} and to {order.order_id}")
            self._foreign.discard(child.broker_order_id)
            found += self._waiting.pop(child.broker_order_id, {}).values()
        return found


def is_our_tag(tag: str) -> bool:
    """Tell whether a broker's tag is one that only we write."""
    return tag.startswith(ORDER_ID_PREFIX) and len(tag) == len(ORDER_ID_PREFIX) + 32
