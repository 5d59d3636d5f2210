"""Status as a function of the evidence an order holds, and the table of the transitions that may be seen."""

from __future__ import annotations

from libs.contracts.orders import OrderStatus
from libs.orders.model import Order

_S = OrderStatus
_LIVE = {_S.ACKNOWLEDGED, _S.OPEN, _S.PARTIALLY_FILLED, _S.CANCEL_SENT}
_OVER = {_S.FILLED, _S.CANCELLED, _S.REJECTED, _S.EXPIRED}

#: From each status, the statuses one piece of evidence may lead to. Anything else raises.
#: A final status is left only for stronger evidence: a trade that raced the cancel, an order that was declared dead
#: and turns up alive. Filled is never left.
TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.INTENT: frozenset({_S.SENT, _S.EXPIRED}),
    _S.SENT: frozenset({_S.UNKNOWN} | _LIVE - {_S.CANCEL_SENT} | _OVER),
    _S.UNKNOWN: frozenset(_LIVE | _OVER),
    # Unknown from a live status: one slice was seen on the stream, then the answer that names the others failed.
    _S.ACKNOWLEDGED: frozenset({_S.UNKNOWN} | _LIVE - {_S.ACKNOWLEDGED} | _OVER),
    _S.OPEN: frozenset({_S.UNKNOWN, _S.PARTIALLY_FILLED, _S.CANCEL_SENT} | _OVER),
    _S.PARTIALLY_FILLED: frozenset({_S.UNKNOWN, _S.CANCEL_SENT, _S.FILLED, _S.CANCELLED, _S.EXPIRED}),
    _S.CANCEL_SENT: frozenset({_S.UNKNOWN} | _LIVE - {_S.CANCEL_SENT} | _OVER),
    _S.CANCELLED: frozenset(_LIVE | {_S.FILLED}),
    _S.REJECTED: frozenset({_S.UNKNOWN} | _LIVE | _OVER - {_S.REJECTED}),
    _S.EXPIRED: frozenset({_S.UNKNOWN} | _LIVE | _OVER - {_S.EXPIRED}),
    _S.FILLED: frozenset(),
}


def status_of(order: Order) -> OrderStatus:
    """Read the status off the evidence."""
    if not order.children:
        return _status_without_children(order)
    effective = order.quantity_effective
    if effective >= order.quantity_wanted or (effective >= order.quantity and not order.has_live_child):
        return _S.FILLED
    if not is_covered(order):
        # Some slices are known and others may live: only the whole answers for the whole.
        return _S.UNKNOWN if order.is_unanswered else _live_status(order, effective)
    if not order.has_live_child:
        return _final_status(order, effective)
    return _live_status(order, effective)


def is_covered(order: Order) -> bool:
    """Tell whether every share of the intent is accounted for by a broker order we know."""
    return order.is_complete or sum(child.quantity for child in order.children) >= order.quantity


def _status_without_children(order: Order) -> OrderStatus:
    if order.is_refused:
        return _S.REJECTED
    if order.is_lapsed:
        return _S.EXPIRED
    if order.is_unanswered:
        return _S.UNKNOWN
    return _S.SENT if order.is_sent else _S.INTENT


def _final_status(order: Order, effective: int) -> OrderStatus:
    ends = {child.status for child in order.children}
    if ends == {_S.EXPIRED}:
        return _S.EXPIRED
    if ends == {_S.REJECTED} and effective == 0:
        return _S.REJECTED
    # Slices may end differently; what is left of the intent is dead either way, and some of it may have traded.
    return _S.CANCELLED


def _live_status(order: Order, effective: int) -> OrderStatus:
    if order.is_cancelling:
        return _S.CANCEL_SENT
    if effective:
        return _S.PARTIALLY_FILLED
    if any(child.status is _S.OPEN for child in order.children):
        return _S.OPEN
    return _S.ACKNOWLEDGED
