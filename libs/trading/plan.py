"""How one strategy's signals are traded."""

from __future__ import annotations

import msgspec

from libs.orders.model import Product
from libs.trading.exits import ExitRules
from libs.trading.sizing import FixedQuantity, Sizing


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How one strategy's signals are traded."""

    strategy_id: str
    sizing: Sizing = FixedQuantity(1)
    exits: ExitRules = ExitRules()
    product: Product = Product.INTRADAY
