"""What moves an order: our own commands, the broker's answers, its reports and trades, an operator's word.

Evidence may come late, twice and in any order. Only commands are sure of their order: we commit them before we act.
"""

from __future__ import annotations

import msgspec

from libs.contracts.orders import OrderStatus
from libs.orders.model import Fill, FillKey


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One fact about one order. `at_us`: when it was so (the broker's time where it gives one)."""

    at_us: int


# -- commands: committed before the act -------------------------------------------------------------------------------


class Sending(Evidence, frozen=True, kw_only=True, tag="sending"):
    """The place request may leave from now on; at a restart this means: it may have left."""


class Lapsed(Evidence, frozen=True, kw_only=True, tag="lapsed"):
    """An intent without `sending` was found at restart, or is no longer wanted: it was never sent."""

    reason: str


class CancelSending(Evidence, frozen=True, kw_only=True, tag="cancel_sending"):
    """A cancel request may leave. `number` counts the cancels of this order from 1."""

    number: int
    reason: str = ""


class ChangeSending(Evidence, frozen=True, kw_only=True, tag="change_sending"):
    """A modify request may leave; a price left out stays. `number` counts the changes of this order from 1."""

    number: int
    quantity: int
    price: float | None = None
    price_trigger: float | None = None


# -- answers to our requests ------------------------------------------------------------------------------------------


class Accepted(Evidence, frozen=True, kw_only=True, tag="accepted"):
    """The broker answered the place request with its order ids. `complete`: the list holds all of them."""

    broker_order_ids: tuple[str, ...]
    complete: bool = True


class PlaceRefused(Evidence, frozen=True, kw_only=True, tag="place_refused"):
    """The broker understood the place request and said no."""

    reason: str


class NoAnswer(Evidence, frozen=True, kw_only=True, tag="no_answer"):
    """The place request got no answer, or one that proves nothing. Never a rejection."""

    reason: str


class CancelRefused(Evidence, frozen=True, kw_only=True, tag="cancel_refused"):
    """The broker will not cancel; the order stands as it did."""

    number: int
    reason: str


class ChangeAccepted(Evidence, frozen=True, kw_only=True, tag="change_accepted"):
    """The broker took the new terms."""

    number: int


class ChangeRefused(Evidence, frozen=True, kw_only=True, tag="change_refused"):
    """The broker will not modify; the old terms stand."""

    number: int
    reason: str


# -- what the broker reports ------------------------------------------------------------------------------------------


class BrokerReport(Evidence, frozen=True, kw_only=True, tag="broker_report"):
    """One row of the order book or one message of the order stream, in our words.

    `status` is one of acknowledged (anything on its way), open, filled, cancelled, rejected, expired.
    """

    broker_order_id: str
    status: OrderStatus
    quantity: int
    quantity_filled: int = 0
    price: float | None = None
    price_trigger: float | None = None
    tag: str = ""
    reason: str = ""


class TradeReport(Evidence, frozen=True, kw_only=True, tag="trade_report"):
    """A trade. The strongest evidence there is."""

    fill: Fill


class TradeReversed(Evidence, frozen=True, kw_only=True, tag="trade_reversed"):
    """The exchange annulled a trade: the order stays filled, the position loses it."""

    key: FillKey
    reason: str = ""


# -- a person ---------------------------------------------------------------------------------------------------------


class OperatorVerdict(Evidence, frozen=True, kw_only=True, tag="operator_verdict"):
    """An operator looked, and vouches that of an unknown order nothing exists but the broker orders already known."""

    operator: str
    reason: str


AnyEvidence = (
    Sending | Lapsed | CancelSending | ChangeSending
    | Accepted | PlaceRefused | NoAnswer | CancelRefused | ChangeAccepted | ChangeRefused
    | BrokerReport | TradeReport | TradeReversed | OperatorVerdict
)  # fmt: skip
