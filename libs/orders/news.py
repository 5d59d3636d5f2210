"""What the lifecycle says happened: every transition with its cause, every trade once, and what should not be."""

from __future__ import annotations

import msgspec

from libs.contracts.orders import OrderStatus
from libs.orders.model import Fill, FillKey


class News(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to one order."""

    order_id: str
    at_us: int


class Transition(News, frozen=True, kw_only=True, tag="transition"):
    """The status changed. `cause` is the tag of the evidence; `sequence` counts the order's transitions from 1."""

    sequence: int
    status_from: OrderStatus
    status_to: OrderStatus
    cause: str
    quantity_traded: int
    fill_pending: int
    reason: str = ""


class FillRecorded(News, frozen=True, kw_only=True, tag="fill"):
    """A trade was seen for the first time: positions move by this and by nothing else."""

    fill: Fill


class FillReversed(News, frozen=True, kw_only=True, tag="fill_reversed"):
    """A recorded trade was annulled by the exchange."""

    key: FillKey


class TermsChanged(News, frozen=True, kw_only=True, tag="terms_changed"):
    """Quantity or prices are not what they were: our modification was taken, or somebody else modified the order."""

    cause: str
    quantity: int
    price: float | None
    price_trigger: float | None


class Anomaly(News, frozen=True, kw_only=True, tag="anomaly"):
    """Something a person must look at. `kind`: overfilled, extra_child, fill_after_final, alive_after_final."""

    kind: str
    detail: str


AnyNews = Transition | FillRecorded | FillReversed | TermsChanged | Anomaly
