"""What the exchange says about an instrument, as far as orders care: grid, lots, limits, and how it is charged."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from libs.orders.model import Product


class Kind(StrEnum):
    """What is traded."""

    EQUITY = "equity"
    FUTURE = "future"
    OPTION = "option"


class Segment(StrEnum):
    """Which table of charges applies."""

    INTRADAY = "intraday"
    DELIVERY = "delivery"
    FUTURES = "futures"
    OPTIONS = "options"


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the instrument master. `freeze_quantity` 0: the exchange takes any size in one order."""

    symbol: str
    exchange: str = "nse"
    kind: Kind = Kind.EQUITY
    tick_size: float = 0.05
    lot_size: int = 1
    freeze_quantity: int = 0
    price_low: float = 0.0
    price_high: float = 0.0

    def segment(self, product: Product) -> Segment:
        """Name the table of charges for a position of this product."""
        if self.kind is Kind.EQUITY:
            return Segment.INTRADAY if product is Product.INTRADAY else Segment.DELIVERY
        return Segment.FUTURES if self.kind is Kind.FUTURE else Segment.OPTIONS
