"""An account of its own for each of several engines that share one simulator: they see their own symbols only."""

from __future__ import annotations

from libs.upstox.orders import OrderCalls, OrderRow, PositionRow, TradeRow
from libs.upstox.session import BrokerSession


class OwnOrders(OrderCalls):
    """The product's calls over the real SDK, with the rows of other engines' instruments left out."""

    def __init__(self, session: BrokerSession, keys: set[str]) -> None:
        super().__init__(session)
        self._own = keys

    def orders(self) -> list[OrderRow]:
        return [row for row in super().orders() if row.instrument_token in self._own]

    def trades(self) -> list[TradeRow]:
        return [row for row in super().trades() if row.instrument_token in self._own]

    def positions(self) -> list[PositionRow]:
        return [row for row in super().positions() if row.instrument_token in self._own]
