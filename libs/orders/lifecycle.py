"""The order's state machine: `apply(order, evidence) -> (order, news)`, pure, indifferent to repeats and to order.

Evidence is merged into the order by rules that only ever add knowledge (the larger filled quantity, the more final
status, each trade once), and the status is read off the result. So the same set of reports leads to the same order
in whatever sequence it comes, and a repeat changes nothing and says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from libs.contracts.orders import OrderStatus
from libs.core.errors import Corrupt, Refused
from libs.orders import evidence as ev
from libs.orders.merge import merge_report, merge_trade
from libs.orders.model import FINAL, Change, Child, Order
from libs.orders.news import Anomaly, AnyNews, FillRecorded, FillReversed, TermsChanged, Transition
from libs.orders.status import TRANSITIONS, status_of


class IllegalCommand(Refused):
    """A command does not fit the order's status; nothing was changed."""


class ContradictoryEvidence(Corrupt):
    """Evidence that cannot be true together with what is known; stop and look."""


def apply(order: Order, evidence: ev.AnyEvidence) -> tuple[Order, tuple[AnyNews, ...]]:
    """Merge one piece of evidence. A repeat gives the very same order back, and no news."""
    merged = _RULES[type(evidence)](order, evidence)
    if merged is order:
        return order, ()
    status = status_of(merged)
    news: list[AnyNews] = []
    if status is not order.status:
        if status not in TRANSITIONS[order.status]:
            raise ContradictoryEvidence(
                f"order {order.order_id} ({order.symbol}) cannot go from {order.status} to {status}; "
                f"the evidence was {evidence!r}"
            )
        merged = replace(merged, status=status, sequence=order.sequence + 1, reason=_reason(merged, evidence))
        news.append(_transition(order, merged, evidence))
    if _knows_more_than_status(order, merged):
        news.extend(_details(order, merged, evidence))
    return merged, tuple(news)


# -- commands ---------------------------------------------------------------------------------------------------------


def _sending(order: Order, evidence: ev.Sending) -> Order:
    _require(order, order.status is OrderStatus.INTENT, evidence)
    return replace(order, is_sent=True)


def _lapsed(order: Order, evidence: ev.Lapsed) -> Order:
    if order.is_lapsed:
        return order
    _require(order, order.status is OrderStatus.INTENT, evidence)
    return replace(order, is_lapsed=True)


def _cancel_sending(order: Order, evidence: ev.CancelSending) -> Order:
    # A cancel of what may be alive is always allowed, also a repeated one; a new number tells the answers apart.
    _require(order, order.has_live_child and evidence.number == order.cancel_number + 1, evidence)
    return replace(order, cancel_number=evidence.number)


def _change_sending(order: Order, evidence: ev.ChangeSending) -> Order:
    single = order.is_complete and len(order.children) == 1
    allowed = (
        single
        and order.status in _CHANGEABLE
        and order.change is None
        and evidence.number == order.change_number + 1
        and evidence.quantity > order.quantity_effective
    )
    _require(order, allowed, evidence)
    price = order.price if evidence.price is None else evidence.price
    trigger = order.price_trigger if evidence.price_trigger is None else evidence.price_trigger
    change = Change(evidence.number, evidence.quantity, price, trigger)
    return replace(order, change=change, change_number=evidence.number)


_CHANGEABLE = {OrderStatus.ACKNOWLEDGED, OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}


def _require(order: Order, allowed: bool, evidence: ev.Evidence) -> None:  # noqa: FBT001  # an assertion with a message
    if not allowed:
        raise IllegalCommand(
            f"order {order.order_id} ({order.symbol}) is {order.status}, cancel {order.cancel_number}, change "
            f"{order.change_number}, {len(order.children)} broker orders; this command does not fit: {evidence!r}"
        )


# -- answers ----------------------------------------------------------------------------------------------------------


def _accepted(order: Order, evidence: ev.Accepted) -> Order:
    new = [Child(i) for i in evidence.broker_order_ids if order.find_child(i) is None]
    is_complete = order.is_complete or evidence.complete
    if not new and is_complete == order.is_complete:
        return order
    children = _sorted((*order.children, *new))
    if is_complete and len(children) == 1 and not children[0].quantity:
        # One id for the whole request: until the broker reports otherwise, it is the whole quantity.
        children = (replace(children[0], quantity=order.quantity),)
    return replace(order, children=children, is_complete=is_complete)


def _place_refused(order: Order, evidence: ev.PlaceRefused) -> Order:  # noqa: ARG001  # the reason goes into the news
    return order if order.is_refused else replace(order, is_refused=True)


def _no_answer(order: Order, evidence: ev.NoAnswer) -> Order:
    if not order.is_sent:
        raise IllegalCommand(f"order {order.order_id} was never sent, so {evidence!r} cannot be about it")
    return order if order.is_unanswered else replace(order, is_unanswered=True)


def _cancel_refused(order: Order, evidence: ev.CancelRefused) -> Order:
    if evidence.number <= order.cancel_refused_number or evidence.number > order.cancel_number:
        return order
    return replace(order, cancel_refused_number=evidence.number)


def _change_accepted(order: Order, evidence: ev.ChangeAccepted) -> Order:
    change = order.change
    if change is None or change.number != evidence.number:
        return order
    if not order.has_live_child:
        return replace(order, change=None)  # it was over before the new terms could mean anything
    # The broker has our terms from now on; an order book read before this instant says nothing about them.
    children = tuple(replace(c, quantity=change.quantity, terms_us=evidence.at_us) for c in order.children)
    return replace(
        order, change=None, children=children, quantity=change.quantity, price=change.price,
        price_trigger=change.price_trigger,
    )  # fmt: skip


def _change_refused(order: Order, evidence: ev.ChangeRefused) -> Order:
    pending = order.change is not None and order.change.number == evidence.number
    return replace(order, change=None) if pending else order


# -- reports ----------------------------------------------------------------------------------------------------------


def _broker_report(order: Order, evidence: ev.BrokerReport) -> Order:
    if evidence.tag and evidence.tag != order.order_id:
        raise ContradictoryEvidence(f"{evidence!r} carries another tag than order {order.order_id}")
    if order.status is OrderStatus.INTENT:
        raise ContradictoryEvidence(f"order {order.order_id} was never sent, yet the broker reports {evidence!r}")
    return merge_report(order, evidence)


def _trade_report(order: Order, evidence: ev.TradeReport) -> Order:
    fill = evidence.fill
    known = next((f for f in order.fills if f.key == fill.key), None)
    if known is not None:
        if not known.is_same_trade(fill):
            raise ContradictoryEvidence(f"trade {fill.key} was {known!r} and is now {fill!r}")
        return order
    if (fill.symbol, fill.side) != (order.symbol, order.side) or fill.quantity <= 0:
        raise ContradictoryEvidence(
            f"{fill!r} cannot be a trade of order {order.order_id} ({order.side} {order.symbol})"
        )
    if order.status is OrderStatus.INTENT:
        raise ContradictoryEvidence(f"order {order.order_id} was never sent, yet it traded: {fill!r}")
    return merge_trade(order, fill)


def _trade_reversed(order: Order, evidence: ev.TradeReversed) -> Order:
    if evidence.key in order.reversed:
        return order
    if all(fill.key != evidence.key for fill in order.fills):
        raise ContradictoryEvidence(f"trade {evidence.key} is reversed, but order {order.order_id} never had it")
    return replace(order, reversed=(*order.reversed, evidence.key))


def _operator_verdict(order: Order, evidence: ev.OperatorVerdict) -> Order:
    if order.is_lapsed:
        return order
    # The word covers what nobody has seen; slices that are known stay as they are reported.
    _require(order, order.status is OrderStatus.UNKNOWN, evidence)
    return replace(order, is_lapsed=True, is_complete=bool(order.children))


def _sorted(children: tuple[Child, ...]) -> tuple[Child, ...]:
    return tuple(sorted(children, key=lambda child: child.broker_order_id))


_RULES: dict[type, Callable[[Order, Any], Order]] = {
    ev.Sending: _sending,
    ev.Lapsed: _lapsed,
    ev.CancelSending: _cancel_sending,
    ev.ChangeSending: _change_sending,
    ev.Accepted: _accepted,
    ev.PlaceRefused: _place_refused,
    ev.NoAnswer: _no_answer,
    ev.CancelRefused: _cancel_refused,
    ev.ChangeAccepted: _change_accepted,
    ev.ChangeRefused: _change_refused,
    ev.BrokerReport: _broker_report,
    ev.TradeReport: _trade_report,
    ev.TradeReversed: _trade_reversed,
    ev.OperatorVerdict: _operator_verdict,
}


# -- news -------------------------------------------------------------------------------------------------------------


def _transition(old: Order, new: Order, evidence: ev.AnyEvidence) -> Transition:
    return Transition(
        order_id=new.order_id, at_us=evidence.at_us, sequence=new.sequence,
        status_from=old.status, status_to=new.status, cause=_cause(evidence),
        quantity_traded=new.quantity_traded, fill_pending=new.fill_pending, reason=new.reason,
    )  # fmt: skip


def _knows_more_than_status(old: Order, new: Order) -> bool:
    return (
        new.fills is not old.fills
        or new.children is not old.children
        or new.reversed is not old.reversed
        or old.status in FINAL
    )


def _details(old: Order, new: Order, evidence: ev.AnyEvidence) -> list[AnyNews]:
    name, at_us = new.order_id, evidence.at_us
    news: list[AnyNews] = [FillRecorded(order_id=name, at_us=at_us, fill=fill) for fill in new.fills[len(old.fills) :]]
    news += [FillReversed(order_id=name, at_us=at_us, key=key) for key in new.reversed[len(old.reversed) :]]
    if (old.quantity, old.price, old.price_trigger) != (new.quantity, new.price, new.price_trigger):
        news.append(
            TermsChanged(
                order_id=name,
                at_us=at_us,
                cause=_cause(evidence),
                quantity=new.quantity,
                price=new.price,
                price_trigger=new.price_trigger,
            )
        )
    news += [Anomaly(order_id=name, at_us=at_us, kind=kind, detail=detail) for kind, detail in _anomalies(old, new)]
    return news


def _anomalies(old: Order, new: Order) -> list[tuple[str, str]]:
    found = []
    if new.quantity_effective > new.quantity_wanted and new.quantity_effective > old.quantity_effective:
        found.append(("overfilled", f"{new.quantity_effective} filled of {new.quantity}"))
    placed, before = (sum(child.quantity for child in order.children) for order in (new, old))
    if placed > new.quantity_wanted and placed > before:
        ids = ", ".join(child.broker_order_id for child in new.children)
        found.append(("extra_child", f"broker orders {ids} ask for {placed}, the intent was {new.quantity}"))
    if old.is_final and new.status not in FINAL:
        found.append(("alive_after_final", f"was {old.status}, is {new.status}"))
    elif old.is_final and new.quantity_effective > old.quantity_effective:
        found.append(("fill_after_final", f"{new.quantity_effective} filled, was {old.status} with less"))
    return found


def _reason(order: Order, evidence: ev.AnyEvidence) -> str:
    """Keep the words of whoever caused the transition; a child's own words where the evidence has none."""
    given = getattr(evidence, "reason", "")
    return given or next((child.reason for child in order.children if child.reason), "")


def _cause(evidence: ev.AnyEvidence) -> str:
    return str(evidence.__struct_config__.tag)
