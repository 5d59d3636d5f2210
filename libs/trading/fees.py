"""What a desk's trades cost: each adds to its order's charges what its turnover adds to them."""

from __future__ import annotations

from datetime import date

from libs.contracts.orders import Side
from libs.core.clock import trading_date
from libs.core.money import value_paise
from libs.orders.charges import ChargeBook
from libs.orders.direct import KeptTrade
from libs.orders.instrument import Instrument
from libs.orders.model import Fill


class Fees:
    """Turnover of the orders that still trade, and whose shares were debited on which day."""

    def __init__(self, charges: ChargeBook) -> None:
        self._charges = charges
        self._turnover: dict[str, int] = {}
        self._debited: set[tuple[date, str]] = set()

    def restore(self, fill: Fill) -> None:
        """Take in a fill that has its fees."""
        self._turnover[fill.order_id] = self._turnover.get(fill.order_id, 0) + value_paise(fill.price, fill.quantity)
        if fill.side is Side.SELL:
            self._debited.add((trading_date(fill.timestamp_us), fill.symbol))

    def of(self, fill: KeptTrade, instrument: Instrument | None) -> int:
        """Work out what a trade adds; what it has already where nobody knows the instrument."""
        if instrument is None:
            return fill.fees_paise
        day = trading_date(fill.timestamp_us)
        table = self._charges.table(instrument.segment(fill.product), day)
        before = self._turnover.get(fill.order_id, 0)
        after = before + value_paise(fill.price, fill.quantity)
        self._turnover[fill.order_id] = after
        fees = table.fill_fees_paise(fill.exchange, fill.side, before_paise=before, after_paise=after)
        if table.depository_paise and fill.side is Side.SELL and (day, fill.symbol) not in self._debited:
            # Shares leave the account once a day and symbol; the first sale pays.
            self._debited.add((day, fill.symbol))
            fees += table.depository_fees().total
        return fees

    def settled(self, order_id: str) -> None:
        """Forget an order that trades no more."""
        self._turnover.pop(order_id, None)
