"""What an order is: one intent of ours, the broker's orders it became, and the trades they made."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.core.clock import trading_day
from libs.core.ids import content_id, id_of, joined

#: What the broker's `tag` begins with on every order of ours, so that ours and foreign ones are told apart.
ORDER_ID_PREFIX = "tf"

FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})

#: (trading date, exchange, broker order id, trade id): what makes two reports of a trade the same trade.
FillKey = tuple[str, str, str, str]


class Product(StrEnum):
    """How long the broker lets a position live."""

    INTRADAY = "intraday"
    DELIVERY = "delivery"


class Purpose(StrEnum):
    """Why an order is placed. Only entries may add to a position; a flatten is an operator's exit."""

    ENTRY = "entry"
    EXIT = "exit"
    FLATTEN = "flatten"


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade. `timestamp_us` is the exchange's; `fees_paise` is what this trade added to its order's charges."""

    exchange: str
    broker_order_id: str
    trade_id: str
    symbol: str
    side: Side
    quantity: int
    price: float
    timestamp_us: int
    product: Product = Product.INTRADAY
    strategy_id: str = ""
    order_id: str = ""
    fees_paise: int = 0

    @property
    def key(self) -> FillKey:
        """Name the trade; trade ids alone repeat over days, exchanges and orders."""
        return (trading_day(self.timestamp_us), self.exchange, self.broker_order_id, self.trade_id)

    def is_same_trade(self, other: Fill) -> bool:
        """Compare what the exchange said; what we added to it (fees, references) does not count."""
        return (self.symbol, self.side, self.quantity, self.price) == (
            other.symbol, other.side, other.quantity, other.price,
        )  # fmt: skip


class Child(msgspec.Struct, frozen=True):
    """One order at the broker. `quantity` 0: not reported yet. `quantity_filled` is the broker's figure."""

    broker_order_id: str
    status: OrderStatus = OrderStatus.ACKNOWLEDGED
    quantity: int = 0
    quantity_filled: int = 0
    quantity_traded: int = 0
    terms_us: int = 0
    reason: str = ""

    @property
    def is_final(self) -> bool:
        """Nothing more will trade here: the broker says so, or all of it has traded."""
        return self.status in FINAL or 0 < self.quantity <= self.quantity_traded

    @property
    def quantity_effective(self) -> int:
        """Give the most that any evidence says was filled."""
        return max(self.quantity_filled, self.quantity_traded)


class Change(msgspec.Struct, frozen=True):
    """A modification that was sent and not answered yet."""

    number: int
    quantity: int
    price: float | None
    price_trigger: float | None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An intent and everything known about it. Changed only by `libs.orders.lifecycle.apply`.

    `status` is a function of the evidence below it, so that the order in which evidence arrives does not matter.
    """

    order_id: str
    signal_id: str
    strategy_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: int
    exchange: str = "nse"
    price: float | None = None
    price_trigger: float | None = None
    product: Product = Product.INTRADAY
    purpose: Purpose = Purpose.ENTRY
    created_us: int = 0
    replaces: str = ""

    status: OrderStatus = OrderStatus.INTENT
    sequence: int = 0
    reason: str = ""
    is_sent: bool = False
    is_unanswered: bool = False
    is_complete: bool = False
    is_refused: bool = False
    is_lapsed: bool = False
    children: tuple[Child, ...] = ()
    fills: tuple[Fill, ...] = ()
    reversed: tuple[FillKey, ...] = ()
    quantity_traded: int = 0
    cancel_number: int = 0
    cancel_refused_number: int = 0
    change: Change | None = None
    change_number: int = 0

    @property
    def is_final(self) -> bool:
        """The order will not trade any more, as far as is known; trades may still be on their way."""
        return self.status in FINAL

    @property
    def is_settled(self) -> bool:
        """Final, and every share the broker reports as filled is backed by a trade we know."""
        return self.status in FINAL and self.fill_pending == 0 and not self.has_live_child

    @property
    def has_live_child(self) -> bool:
        """Something of this order may still trade at the broker."""
        if self.change is not None:  # it may be growing: only the broker's word ends it
            return any(child.status not in FINAL for child in self.children)
        return any(not child.is_final for child in self.children)

    @property
    def quantity_effective(self) -> int:
        """Give what was filled by the strongest evidence: the broker's figure or the trades, whichever is more."""
        return sum(child.quantity_effective for child in self.children)

    @property
    def fill_pending(self) -> int:
        """Count shares reported as filled whose trades have not been seen yet."""
        return self.quantity_effective - self.quantity_traded

    @property
    def is_cancelling(self) -> bool:
        """A cancel was sent and not refused."""
        return self.cancel_number > self.cancel_refused_number

    @property
    def quantity_wanted(self) -> int:
        """Give the quantity of the order, or of the modification in flight where that is more."""
        return self.quantity if self.change is None else max(self.quantity, self.change.quantity)

    @property
    def quantity_reserved(self) -> int:
        """Count the shares that may still trade in the worst case: risk holds this much back.

        An unknown order reserves everything it could have become; a modification in flight the larger of both.
        """
        if not self.children and self.status not in FINAL:  # a fresh intent, as most that are asked
            return self.quantity_wanted - self.quantity_traded
        live = sum(c.quantity - c.quantity_traded for c in self.children if not c.is_final and c.quantity)
        if self.status in FINAL:
            return max(self.fill_pending, live)
        return max(self.quantity_wanted - self.quantity_traded, live, 0)

    def find_child(self, broker_order_id: str) -> Child | None:
        """Give the broker's order of that id, if it is one of ours."""
        return next((c for c in self.children if c.broker_order_id == broker_order_id), None)


def order_id(*, signal_id: str, purpose: Purpose, attempt: int = 0) -> str:
    """Name an intent by what caused it, so that deciding the same thing twice makes one order. Fits the tag (40)."""
    if not attempt and len(signal_id) == 32:
        return ORDER_ID_PREFIX + id_of(_LENGTH_32 + signal_id.encode() + _FIRST[purpose])
    return ORDER_ID_PREFIX + content_id(signal_id, purpose, attempt)


#: What the ids of most orders are hashed from, but for the signal's own (`joined`).
_LENGTH_32 = joined("." * 32)[:-32]
_FIRST = {purpose: joined(purpose, 0) for purpose in Purpose}
