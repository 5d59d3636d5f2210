"""The broker's words for orders, trades and positions, and ours. Pure; what is not known is never taken for an end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from libs.contracts.orders import OrderStatus, OrderType, Side
from libs.core.clock import to_us
from libs.orders import evidence as ev
from libs.orders.model import Change, Fill, Order, Product
from libs.orders.reconcile import AccountKey
from libs.upstox.orders import Ask, OrderRow, PositionRow, Terms, TradeRow

ORDER_TYPES = {OrderType.MARKET: "MARKET", OrderType.LIMIT: "LIMIT", OrderType.SL: "SL", OrderType.SL_M: "SL-M"}
PRODUCTS = {Product.INTRADAY: "I", Product.DELIVERY: "D"}
#: A status that is not here is one on its way: new words of the broker's must not end an order.
STATUSES = {
    "complete": OrderStatus.FILLED, "cancelled": OrderStatus.CANCELLED, "rejected": OrderStatus.REJECTED,
    "cancelled after market order": OrderStatus.CANCELLED, "open": OrderStatus.OPEN,
    "trigger pending": OrderStatus.OPEN, "modified": OrderStatus.OPEN, "not modified": OrderStatus.OPEN,
    "modify pending": OrderStatus.OPEN, "modify validation pending": OrderStatus.OPEN,
    "cancel pending": OrderStatus.OPEN, "not cancelled": OrderStatus.OPEN,
}  # fmt: skip
#: The broker's documents show both.
_TIME_FORMATS = ("%Y-%m-%d %H:%M:%S", "%d-%b-%Y %H:%M:%S")


class Speller:
    """Turns rows into evidence and orders into requests, for one exchange. `keys`: the instrument key of a symbol."""

    def __init__(self, exchange: str, keys: Mapping[str, str]) -> None:
        self._exchange = exchange
        self._keys = dict(keys)
        self._symbols = {key: symbol for symbol, key in keys.items()}

    @property
    def is_empty(self) -> bool:
        """Whether no name is known at all."""
        return not self._keys

    def knows(self, symbol: str) -> bool:
        """Whether the broker's name of a symbol is known."""
        return symbol in self._keys

    def symbol(self, key: str) -> str:
        """Give our name; an instrument we don't know keeps the broker's."""
        return self._symbols.get(key, key)

    def ask(self, order: Order) -> Ask:
        """Spell a new order; its id is the tag."""
        return Ask(
            quantity=order.quantity, order_type=ORDER_TYPES[order.order_type], price=order.price or 0.0,
            trigger_price=order.price_trigger or 0.0, instrument_key=self._keys[order.symbol],
            transaction_type=order.side.value.upper(), product=PRODUCTS[order.product], tag=order.order_id,
        )  # fmt: skip

    def terms(self, order: Order, change: Change) -> Terms:
        """Spell other terms of an order."""
        return Terms(
            quantity=change.quantity, order_type=ORDER_TYPES[order.order_type], price=change.price or 0.0,
            trigger_price=change.price_trigger or 0.0,
        )  # fmt: skip

    def report(self, row: OrderRow, at_us: int) -> ev.BrokerReport:
        """Read a row of the order book as it was at an instant."""
        return ev.BrokerReport(
            at_us=at_us, broker_order_id=row.order_id, status=STATUSES.get(row.status, OrderStatus.ACKNOWLEDGED),
            quantity=row.quantity, quantity_filled=row.filled_quantity or 0, price=row.price or None,
            price_trigger=row.trigger_price or None, tag=row.tag or "", reason=row.status_message or "",
        )  # fmt: skip

    def fill(self, row: TradeRow) -> Fill:
        """Read a trade."""
        return Fill(
            exchange=self._name(row.exchange), broker_order_id=row.order_id, trade_id=row.trade_id,
            symbol=self.symbol(row.instrument_token), side=Side(row.transaction_type.lower()), quantity=row.quantity,
            price=row.average_price, timestamp_us=moment_us(row.exchange_timestamp), product=_product(row.product),
        )  # fmt: skip

    def position(self, row: PositionRow) -> tuple[AccountKey, int]:
        """Read a net position or a holding."""
        return (self._name(row.exchange), self.symbol(row.instrument_token), _product(row.product)), row.quantity

    def _name(self, exchange: str) -> str:
        return self._exchange if exchange.lower() == self._exchange else exchange.lower()


def moment_us(text: str | None) -> int:
    """Read an instant as the broker spells it, in Indian time; 0 where there is none."""
    if not text:
        return 0
    for shape in _TIME_FORMATS:
        try:
            return to_us(datetime.strptime(text, shape))  # noqa: DTZ007  # naive is Indian time, as `to_us` takes it
        except ValueError:
            continue
    return to_us(datetime.fromisoformat(text))


def _product(text: str) -> Product:
    """Everything but intraday is carried over."""
    return Product.INTRADAY if text == "I" else Product.DELIVERY
