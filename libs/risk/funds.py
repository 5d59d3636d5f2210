"""The broker's free money as it was last read, less what entries will block that the reading could not know of.

A reading takes a while, and orders leave meanwhile. What was answered before a reading was asked for is in it;
everything else is held back on top, unknown orders included, so that the same rupee is not spent twice.
"""

from __future__ import annotations

from libs.core.money import UNITS_PER_PAISA, UNITS_PER_RUPEE
from libs.orders.model import FINAL, Order, Product, Purpose


class Funds:
    """`is_known` is false with a broker that says nothing of money (paper, a backtest): then there is no rule.

    `age_us` is by the machine's clock and set by whoever reads: the exchange's may run at another speed.
    """

    def __init__(self) -> None:
        self.is_known = False
        self.available_paise = 0
        self.age_us = 0
        self._held: dict[str, tuple[Product, int]] = {}
        self._sums = dict.fromkeys(Product, 0)
        self._unanswered: set[str] = set()
        self._in_next_reading: frozenset[str] = frozenset()

    def held_paise(self, intraday_percent: int) -> int:
        """Give what entries the last reading did not know of will block."""
        return sum(margin_paise(value, product, intraday_percent) for product, value in self._sums.items())

    def asked(self) -> None:
        """A reading begins: what was answered by now will be in it."""
        self._in_next_reading = frozenset(self._held.keys() - self._unanswered)

    def read(self, available_paise: int) -> None:
        """Take in a reading."""
        self.is_known = True
        self.available_paise, self.age_us = available_paise, 0
        for name in self._in_next_reading:
            self._release(name)
        self._in_next_reading = frozenset()

    def on_order(self, order: Order, units: int) -> None:
        """Hold back for an entry from its intent on, until a reading knows of it or it came to nothing.

        `units` is the last price; a dearer limit counts instead.
        """
        if order.purpose is not Purpose.ENTRY:
            return
        name, is_over = order.order_id, order.status in FINAL
        if is_over and not order.quantity_traded:
            self._release(name)
        elif is_over or order.children:
            self._unanswered.discard(name)
        elif name not in self._held:
            self._unanswered.add(name)
            worst = max(units, round((order.price or 0.0) * UNITS_PER_RUPEE))
            value = worst * order.quantity // UNITS_PER_PAISA
            self._held[name] = (order.product, value)
            self._sums[order.product] += value

    def _release(self, name: str) -> None:
        self._unanswered.discard(name)
        if name in self._held:
            product, value = self._held.pop(name)
            self._sums[product] -= value


def margin_paise(value_paise: int, product: Product, intraday_percent: int) -> int:
    """Give what the broker blocks for orders of a value: all of it for delivery, a share of it for the day."""
    return value_paise if product is Product.DELIVERY else -(-value_paise * intraday_percent // 100)
