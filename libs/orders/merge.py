"""How a broker's report or trade joins what an order already knows: only ever more, whatever the sequence."""

from __future__ import annotations

from msgspec.structs import replace

from libs.contracts.orders import OrderStatus
from libs.orders.evidence import BrokerReport
from libs.orders.model import Child, Fill, Order

#: How final a broker's word is. A report of a lower rank than what is known is old news.
_RANK = {
    OrderStatus.ACKNOWLEDGED: 0,
    OrderStatus.OPEN: 1,
    OrderStatus.EXPIRED: 2,
    OrderStatus.REJECTED: 3,
    OrderStatus.CANCELLED: 4,
    OrderStatus.FILLED: 5,
}


def merge_report(order: Order, report: BrokerReport) -> Order:
    """Join one row of the order book."""
    known = order.find_child(report.broker_order_id)
    child = known or Child(report.broker_order_id)
    newer = report.at_us >= child.terms_us
    merged = Child(
        child.broker_order_id,
        status=_more_final(child.status, report.status),
        quantity=report.quantity if newer and report.quantity else child.quantity,
        quantity_filled=max(child.quantity_filled, report.quantity_filled),
        quantity_traded=child.quantity_traded,
        terms_us=max(child.terms_us, report.at_us),
        reason=report.reason if _RANK[report.status] > _RANK[child.status] else child.reason or report.reason,
    )
    settled = _settle_terms(order, report) if newer else order
    if merged == known and settled is order:
        return order
    return replace(settled, children=_with(order.children, merged))


def merge_trade(order: Order, fill: Fill) -> Order:
    """Join one new trade; a broker order nobody reported yet becomes known by it."""
    child = order.find_child(fill.broker_order_id) or Child(fill.broker_order_id)
    stamped = replace(fill, order_id=order.order_id, strategy_id=order.strategy_id, product=order.product)
    grown = replace(child, quantity_traded=child.quantity_traded + fill.quantity)
    return replace(
        order, fills=(*order.fills, stamped), quantity_traded=order.quantity_traded + fill.quantity,
        children=_with(order.children, grown),
    )  # fmt: skip


def _settle_terms(order: Order, report: BrokerReport) -> Order:
    """Take quantity and prices from the broker's row, where that one row is the whole order."""
    whole = order.is_complete and len(order.children) == 1
    if not whole or not report.quantity or order.is_final:
        return order
    reported = (report.quantity, report.price, report.price_trigger)
    if order.change is not None:
        change = order.change
        if reported != (change.quantity, change.price, change.price_trigger):
            return order  # the old terms prove nothing: the request may still be on its way
        order = replace(order, change=None)
    price = order.price if report.price is None else report.price
    trigger = order.price_trigger if report.price_trigger is None else report.price_trigger
    if (report.quantity, price, trigger) == (order.quantity, order.price, order.price_trigger):
        return order
    return replace(order, quantity=report.quantity, price=price, price_trigger=trigger)


def _more_final(known: OrderStatus, reported: OrderStatus) -> OrderStatus:
    return reported if _RANK[reported] > _RANK[known] else known


def _with(children: tuple[Child, ...], child: Child) -> tuple[Child, ...]:
    others = [c for c in children if c.broker_order_id != child.broker_order_id]
    if not others:
        return (child,)
    return tuple(sorted([*others, child], key=lambda c: c.broker_order_id))
