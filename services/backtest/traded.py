"""What a run traded, in the forms its figures and its file want it: each is made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import msgspec

from libs.orders.direct import KeptTrade
from libs.orders.positions import Step, folded
from services.backtest.equity import Deals


class Traded(msgspec.Struct, frozen=True, dict=True):
    """Every trade in order, as it was kept."""

    fills: Sequence[KeptTrade]

    @cached_property
    def deals(self) -> Deals:
        """Give them as columns."""
        return Deals.of(self.fills)

    @cached_property
    def steps(self) -> list[Step]:
        """Give them with what each did to its position."""
        return folded(self.fills)
