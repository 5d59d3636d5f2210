"""Our book against the broker's: what to repair by rule, what to raise to a person. Pure; it changes nothing.

Rules. What the broker shows and we lack is evidence, and is applied. What we have and the broker does not show proves
nothing and is raised. Orders with no tag of ours are foreign: seen, left alone, and raised only where they touch what
we hold. Differences of quantity are never repaired, for a position is the sum of fills and of nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from libs.contracts.orders import OrderStatus, Side
from libs.orders import evidence as ev
from libs.orders.book import OrderBook, is_our_tag
from libs.orders.lifecycle import ContradictoryEvidence, apply
from libs.orders.model import Fill, FillKey, Order, Product

AccountKey = tuple[str, str, Product]


class Finding(StrEnum):
    """What a person, or the trading state, must hear of."""

    STILL_UNKNOWN = "still_unknown"
    MISSING_AT_BROKER = "missing_at_broker"
    NOT_IN_JOURNAL = "not_in_journal"
    CONTRADICTION = "contradiction"
    FILL_PENDING = "fill_pending"
    TRADE_MISSING_AT_BROKER = "trade_missing_at_broker"
    UNEXPLAINED_TRADE = "unexplained_trade"
    FOREIGN_FILL = "foreign_fill"
    POSITION = "position"


class Repair(msgspec.Struct, frozen=True):
    """Evidence of the broker's that our order lacks; apply it."""

    order_id: str
    evidence: ev.BrokerReport | ev.TradeReport


class Difference(msgspec.Struct, frozen=True):
    """What no rule repairs. `figures` are the numbers that differ."""

    finding: Finding
    subject: str
    detail: str
    figures: dict[str, int] = {}


class BrokerBook(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker shows of one day, in our words. `positions` are the day's net quantities.

    `holdings` were delivered on earlier days, ours and the account's owner's alike. `funds_paise` are free to trade.
    """

    orders: tuple[ev.BrokerReport, ...]
    trades: tuple[Fill, ...]
    positions: Mapping[AccountKey, int]
    holdings: Mapping[AccountKey, int] = {}
    funds_paise: int | None = None


class Outcome(msgspec.Struct, frozen=True):
    """All that was found. Nothing found: the two books are one."""

    repairs: tuple[Repair, ...]
    differences: tuple[Difference, ...]


def compare(book: OrderBook, broker: BrokerBook, positions: Mapping[AccountKey, int]) -> Outcome:
    """Compare; `positions` are our net quantities of the broker's kind (`PositionBook.net`), before any repair."""
    repaired = OrderBook(list(book))
    repairs: list[Repair] = []
    differences: list[Difference] = []
    foreign_ids = set()
    for report in broker.orders:
        owner = report.tag if report.tag in repaired else repaired.owner_of(report.broker_order_id)
        if owner is not None:
            _try(repaired, owner, report, repairs, differences)
            continue
        foreign_ids.add(report.broker_order_id)
        if is_our_tag(report.tag):
            detail = (
                f"broker order {report.broker_order_id} carries our tag {report.tag}, the journal has no such order"
            )
            differences.append(Difference(Finding.NOT_IN_JOURNAL, report.broker_order_id, detail))
    foreign: list[Fill] = []
    for fill in broker.trades:
        owner = repaired.owner_of(fill.broker_order_id)
        if owner is not None:
            _try(repaired, owner, ev.TradeReport(at_us=fill.timestamp_us, fill=fill), repairs, differences)
        elif fill.broker_order_id in foreign_ids:
            foreign.append(fill)
        else:
            detail = f"{fill.symbol}: the broker does not show order {fill.broker_order_id}, to which the trade belongs"
            differences.append(Difference(Finding.UNEXPLAINED_TRADE, fill.trade_id, detail))
    differences += _orders_left(repaired, broker)
    differences += _foreign_differences(foreign, positions)
    added = [
        msgspec.structs.replace(repair.evidence.fill, product=repaired.get(repair.order_id).product)
        for repair in repairs
        if isinstance(repair.evidence, ev.TradeReport)
    ]
    differences += _position_differences(added, foreign, broker, positions)
    return Outcome(tuple(repairs), tuple(differences))


def _try(
    book: OrderBook,
    owner: str,
    evidence: ev.BrokerReport | ev.TradeReport,
    repairs: list[Repair],
    differences: list[Difference],
) -> None:
    """Apply evidence to the copy; what changes the order is a repair, what cannot be true is raised."""
    before = book.get(owner)
    try:
        after, news = apply(before, evidence)
        if after is before:
            return
        book.apply(owner, evidence)
    except ContradictoryEvidence as e:
        differences.append(Difference(Finding.CONTRADICTION, owner, str(e)))
        return
    if news or after.status is not before.status:
        repairs.append(Repair(owner, evidence))


def _orders_left(book: OrderBook, broker: BrokerBook) -> list[Difference]:
    """Judge each of our orders after everything the broker shows was applied."""
    shown = {report.broker_order_id for report in broker.orders}
    traded = {fill.key for fill in broker.trades}
    found: list[Difference] = []
    for order in book:
        if order.status in {OrderStatus.UNKNOWN, OrderStatus.SENT}:
            detail = (
                f"no evidence of {order.side} {order.quantity} {order.symbol}, which proves nothing: look, and decide"
            )
            found.append(Difference(Finding.STILL_UNKNOWN, order.order_id, detail))
        missing = [c.broker_order_id for c in order.children if c.broker_order_id not in shown]
        if missing and not order.is_settled:
            detail = f"order is {order.status}; the broker does not show {', '.join(missing)}"
            found.append(Difference(Finding.MISSING_AT_BROKER, order.order_id, detail))
        if order.is_final and order.fill_pending:
            figures = {"reported": order.quantity_effective, "traded": order.quantity_traded}
            detail = "the broker reports more filled than its trades add up to"
            found.append(Difference(Finding.FILL_PENDING, order.order_id, detail, figures))
        found += _trades_left(order, traded, shown)
    return found


def _trades_left(order: Order, traded: set[FillKey], shown: set[str]) -> list[Difference]:
    """Find trades we hold and the broker does not show, of orders that it does show (its book is of one day)."""
    lost = [
        f for f in order.fills if f.broker_order_id in shown and f.key not in traded and f.key not in order.reversed
    ]
    return [
        Difference(
            Finding.TRADE_MISSING_AT_BROKER, order.order_id, f"trade {fill.trade_id} is not in the broker's list",
            {"quantity": fill.quantity},
        )
        for fill in lost
    ]  # fmt: skip


def _foreign_differences(foreign: Iterable[Fill], positions: Mapping[AccountKey, int]) -> list[Difference]:
    held = {key for key, quantity in positions.items() if quantity}
    return [
        Difference(
            Finding.FOREIGN_FILL, f"{fill.exchange}:{fill.symbol}",
            f"somebody else's order {fill.broker_order_id} traded ({fill.trade_id}) in an instrument we hold: "
            "adjust, and only reduce",
            {"quantity": _signed(fill)},
        )
        for fill in foreign
        if (fill.exchange, fill.symbol, fill.product) in held
    ]  # fmt: skip


def _position_differences(
    added: Iterable[Fill],
    foreign: Iterable[Fill],
    broker: BrokerBook,
    ours: Mapping[AccountKey, int],
) -> list[Difference]:
    """Compare net quantities with the repaired trades added and foreign fills set aside.

    What the day's positions lack of ours may lie in the holdings; what more lies there is somebody else's.
    """
    at_broker = broker.positions
    expected: dict[AccountKey, int] = defaultdict(int, ours)
    for fill in added:
        expected[fill.exchange, fill.symbol, fill.product] += _signed(fill)
    strangers: dict[AccountKey, int] = defaultdict(int)
    for fill in foreign:
        strangers[fill.exchange, fill.symbol, fill.product] += _signed(fill)
    found = []
    for key in sorted({*expected, *at_broker, *strangers}):
        we, they, other = expected[key], at_broker.get(key, 0), strangers[key]
        they += max(0, min(broker.holdings.get(key, 0), we + other - they))
        if we + other != they:
            detail = f"{key[2]} position of {key[1]}: ours {we}, foreign fills {other}, the broker says {they}"
            figures = {"ours": we, "foreign": other, "broker": they}
            found.append(Difference(Finding.POSITION, f"{key[0]}:{key[1]}", detail, figures))
    return found


def _signed(fill: Fill) -> int:
    return fill.quantity if fill.side is Side.BUY else -fill.quantity
