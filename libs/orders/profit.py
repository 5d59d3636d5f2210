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


class Valuation:
    """Equity price by price: cash, what fills moved, and the open quantities at their last prices.

    What comes in is kept and added up when somebody asks: between two questions a price may change often.
    """

    def __init__(self, cash_paise: int) -> None:
        self._cash_paise = cash_paise
        self._settled_paise = 0
        self._marked_paise = 0
        self._prices: dict[str, float] = {}
        #: Of symbols without a last price: that of the last fill.
        self._fill_prices: dict[str, float] = {}
        self._moved: dict[PositionKey, Position] = {}
        self._stale: set[str] = set()
        self._positions: dict[PositionKey, Position] = {}
        self._quantity: dict[str, int] = {}
        self._value: dict[str, int] = {}

    @property
    def equity_paise(self) -> int:
        """Give cash and positions together, charges taken off."""
        if self._moved or self._stale:
            self._add_up()
        return self._cash_paise + self._settled_paise + self._marked_paise

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
        self._settled_paise -= paise

    def _add_up(self) -> None:
        for key, position in self._moved.items():
            before = self._positions.get(key)
            self._positions[key] = position
            self._settled_paise += _cash_moved(position)
            moved = position.quantity
            if before is not None:
                self._settled_paise -= _cash_moved(before)
                moved -= before.quantity
            self._quantity[key.symbol] = self._quantity.get(key.symbol, 0) + moved
            self._stale.add(key.symbol)
        self._moved.clear()
        for symbol in self._stale:
            quantity, known = self._quantity.get(symbol, 0), self._value.get(symbol, 0)
            if quantity or known:
                price = self._prices.get(symbol)
                value = value_paise(self._fill_prices[symbol] if price is None else price, quantity) if quantity else 0
                self._marked_paise += value - known
                self._value[symbol] = value
        self._stale.clear()


def _cash_moved(position: Position) -> int:
    return position.sold_paise - position.bought_paise - position.fees_paise
