"""Money, positions and holdings of the one account: position = sum of fills, always."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from services.exchange_sim.exchange.orders import Order
from services.exchange_sim.market.instruments import Instrument

#: Share of a position's value that is blocked: five times leverage for intraday, none for delivery.
MARGIN_RATE = {"I": 0.20, "D": 1.0, "MTF": 0.25}


@dataclass
class Position:
    """What one instrument and product came to today."""

    instrument: Instrument
    product: str
    buy_quantity: int = 0
    buy_value: float = 0.0
    sell_quantity: int = 0
    sell_value: float = 0.0

    @property
    def quantity(self) -> int:
        """Net shares, negative when short."""
        return self.buy_quantity - self.sell_quantity

    @property
    def buy_price(self) -> float:
        """What was paid on average."""
        return round(self.buy_value / self.buy_quantity, 4) if self.buy_quantity else 0.0

    @property
    def sell_price(self) -> float:
        """What was got on average."""
        return round(self.sell_value / self.sell_quantity, 4) if self.sell_quantity else 0.0

    @property
    def average_price(self) -> float:
        """Average of the side that is open, 0 when flat."""
        return 0.0 if self.quantity == 0 else self.buy_price if self.quantity > 0 else self.sell_price

    @property
    def realised(self) -> float:
        """Profit of the shares bought and sold again."""
        closed = min(self.buy_quantity, self.sell_quantity)
        return round(closed * (self.sell_price - self.buy_price), 2) or 0.0  # no minus zero

    def unrealised(self, price: float) -> float:
        """Profit of the open shares at a price."""
        return round(self.quantity * (price - self.average_price), 2)

    def add(self, quantity: int, price: float, *, is_buy: bool) -> None:
        """Book a fill."""
        if is_buy:
            self.buy_quantity += quantity
            self.buy_value += quantity * price
        else:
            self.sell_quantity += quantity
            self.sell_value += quantity * price


@dataclass
class Holding:
    """Delivered shares of earlier days."""

    instrument: Instrument
    quantity: int
    average_price: float


@dataclass
class Account:
    """The simulated user's account."""

    cash: float
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    holdings: dict[str, Holding] = field(default_factory=dict)

    def book(self, order: Order, quantity: int, price: float) -> Position:
        """Add a fill to its position."""
        request = order.request
        key = (request.instrument.key, request.product)
        position = self.positions.setdefault(key, Position(request.instrument, request.product))
        position.add(quantity, price, is_buy=request.is_buy)
        return position

    def quantity(self, instrument_key: str, product: str) -> int:
        """Net shares of an instrument and product."""
        position = self.positions.get((instrument_key, product))
        return position.quantity if position else 0

    def margin_used(self, open_orders: Iterable[Order]) -> float:
        """Money blocked by open positions and by orders that would open more."""
        blocked = sum(
            abs(position.quantity) * position.average_price * MARGIN_RATE[position.product]
            for position in self.positions.values()
        )
        for order in open_orders:
            blocked += order_margin(order, self.opening_quantity(order))
        return round(blocked, 2)

    def opening_quantity(self, order: Order) -> int:
        """Count the pending shares of an order that would enlarge a position, not close one."""
        net = self.quantity(order.request.instrument.key, order.request.product)
        closing = max(0, -net) if order.request.is_buy else max(0, net)
        return max(0, order.quantity_pending - closing)

    def cash_now(self) -> float:
        """Cash with today's realised profit."""
        return round(self.cash + sum(position.realised for position in self.positions.values()), 2)

    def available(self, open_orders: Iterable[Order]) -> float:
        """Money that a new order may block."""
        return round(self.cash_now() - self.margin_used(open_orders), 2)

    def sellable(self, order: Order, others: Iterable[Order]) -> int:
        """Count the delivered or bought shares a delivery sale may still take."""
        key = order.request.instrument.key
        held = self.holdings[key].quantity if key in self.holdings else 0
        promised = sum(
            other.quantity_pending
            for other in others
            if other is not order and not other.request.is_buy
            and (other.request.instrument.key, other.request.product) == (key, "D")
        )  # fmt: skip
        return held + self.quantity(key, "D") - promised

    def end_day(self, close_price: Callable[[Instrument], float]) -> None:
        """Settle: delivery positions become holdings, others are squared off at the close, profit becomes cash."""
        self.cash = self.cash_now()
        for position in self.positions.values():
            if position.product == "D" and position.quantity:
                self._deliver(position)
            elif position.quantity:
                self.cash = round(self.cash + position.unrealised(close_price(position.instrument)), 2)
        self.positions.clear()

    def _deliver(self, position: Position) -> None:
        key = position.instrument.key
        held = self.holdings.get(key) or Holding(position.instrument, 0, 0.0)
        self.cash = round(self.cash - position.quantity * position.average_price, 2)
        quantity = held.quantity + position.quantity
        if position.quantity > 0:
            cost = held.quantity * held.average_price + position.quantity * position.average_price
            held.average_price = round(cost / quantity, 4)
        held.quantity = quantity
        self.holdings[key] = held
        if quantity <= 0:
            del self.holdings[key]


def order_margin(order: Order, quantity: int) -> float:
    """Give the money an order blocks for so many shares."""
    request = order.request
    price = request.price or request.trigger_price or order.reference_price
    return quantity * price * MARGIN_RATE[request.product]
