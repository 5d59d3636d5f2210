"""What the account is worth: marks of open positions, equity, the day's loss, drawdown."""

from __future__ import annotations

from datetime import date

import msgspec

from libs.core.money import value_paise
from libs.orders.positions import Position, PositionKey


class Equity(msgspec.Struct, frozen=True):
    """The account's worth now, at the start of its day, and at its best. All in paise."""

    day: date
    now_paise: int
    day_start_paise: int
    peak_paise: int

    @property
    def loss_day_paise(self) -> int:
        """Give what today lost; 0 when today gained."""
        return max(0, self.day_start_paise - self.now_paise)

    @property
    def drawdown_paise(self) -> int:
        """Give what was lost since the best moment."""
        return self.peak_paise - self.now_paise

    def marked(self, day: date, equity_paise: int) -> Equity:
        """Move to a new worth; the first mark of another day starts it at the worth before."""
        start = self.day_start_paise if day == self.day else self.now_paise
        return Equity(day, equity_paise, start, max(self.peak_paise, equity_paise))


def opening_equity(day: date, cash_paise: int) -> Equity:
    """Begin with cash."""
    return Equity(day, cash_paise, cash_paise, cash_paise)


class _Sum(msgspec.Struct):
    """What the account, or one strategy of it, made: money moved by fills, and what is open at the last prices."""

    settled_paise: int = 0
    marked_paise: int = 0
    quantity: dict[str, int] = msgspec.field(default_factory=dict)
    value: dict[str, int] = msgspec.field(default_factory=dict)

    def settle(self, symbol: str, paise: int, quantity: int) -> None:
        self.settled_paise += paise
        self.quantity[symbol] = self.quantity.get(symbol, 0) + quantity

    def mark(self, symbol: str, price: float) -> None:
        quantity, known = self.quantity.get(symbol, 0), self.value.get(symbol, 0)
        if quantity or known:
            value = self.value[symbol] = value_paise(price, quantity) if quantity else 0
            self.marked_paise += value - known


class Valuation:
    """Equity price by price: cash, what fills moved, and the open quantities at their last prices; by strategy, too.

    What comes in is kept and added up when somebody asks: between two questions a price may change often.
    """

    def __init__(self, cash_paise: int) -> None:
        self._account = _Sum(cash_paise)
        self._strategies: dict[str, _Sum] = {}
        self._prices: dict[str, float] = {}
        #: Of symbols without a last price: that of the last fill.
        self._fill_prices: dict[str, float] = {}
        self._moved: dict[PositionKey, Position] = {}
        self._stale: set[str] = set()
        self._positions: dict[PositionKey, Position] = {}

    @property
    def equity_paise(self) -> int:
        """Give cash and positions together, charges taken off."""
        if self._moved or self._stale:
            self._add_up()
        return self._account.settled_paise + self._account.marked_paise

    def profits_paise(self) -> dict[str, int]:
        """Give what each strategy that ever traded has made, charges taken off."""
        if self._moved or self._stale:
            self._add_up()
        return {name: each.settled_paise + each.marked_paise for name, each in self._strategies.items()}

    def on_position(self, position: Position, price: float) -> None:
        """Take in a position after a fill; `price` marks a symbol that has no last price yet."""
        key = position.key
        self._moved[key] = position
        if key.symbol not in self._prices:
            self._fill_prices[key.symbol] = price

    def on_price(self, symbol: str, price: float) -> None:
        """Take in a last price."""
        self._prices[symbol] = price
        self._stale.add(symbol)

    def charge(self, paise: int) -> None:
        """Take off a charge no fill carries, such as the depository's."""
        self._account.settled_paise -= paise

    def _add_up(self) -> None:
        for key, position in self._moved.items():
            before = self._positions.get(key)
            self._positions[key] = position
            paise, quantity = _cash_moved(position), position.quantity
            if before is not None:
                paise, quantity = paise - _cash_moved(before), quantity - before.quantity
            strategy = self._strategies.get(key.strategy_id)
            if strategy is None:
                strategy = self._strategies[key.strategy_id] = _Sum()
            for each in (self._account, strategy):
                each.settle(key.symbol, paise, quantity)
            self._stale.add(key.symbol)
        self._moved.clear()
        for symbol in self._stale:
            price = self._prices.get(symbol)
            if price is None:
                price = self._fill_prices[symbol]
            self._account.mark(symbol, price)
            for each in self._strategies.values():
                each.mark(symbol, price)
        self._stale.clear()


def _cash_moved(position: Position) -> int:
    return position.sold_paise - position.bought_paise - position.fees_paise
