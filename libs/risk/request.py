"""What asks to be sent: an order that has not been decided on."""

from __future__ import annotations

import msgspec

from libs.contracts.orders import OrderType, Side
from libs.orders.model import Order, Product, Purpose


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order somebody wants. `signal_us` is when its signal could first be known: the end of its bar.

    `signal_id` is empty for orders no signal caused: protective exits, an operator's flatten.
    `replaces` names the settled order this one stands in for; its signal was decided before.
    `price_simulated` is for an exchange that fills on bars: where the stop or target this exit stands for was reached.
    """

    order_id: str
    strategy_id: str
    symbol: str
    side: Side
    quantity: int
    order_type: OrderType = OrderType.MARKET
    price: float | None = None
    price_trigger: float | None = None
    exchange: str = "nse"
    product: Product = Product.INTRADAY
    purpose: Purpose = Purpose.ENTRY
    signal_id: str = ""
    signal_us: int = 0
    replaces: str = ""
    price_simulated: float | None = None

    def to_order(self, created_us: int) -> Order:
        """Make the intent of it."""
        return Order(
            order_id=self.order_id, signal_id=self.signal_id, strategy_id=self.strategy_id, symbol=self.symbol,
            side=self.side, order_type=self.order_type, quantity=self.quantity, exchange=self.exchange,
            price=self.price, price_trigger=self.price_trigger, product=self.product, purpose=self.purpose,
            created_us=created_us, replaces=self.replaces,
        )  # fmt: skip
