"""How many shares an entry asks for. Always whole lots, rounded down; 0 means: too small to trade."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.core.errors import Refused
from libs.core.money import PAISE_PER_RUPEE, UNITS_PER_PAISA, UNITS_PER_RUPEE

Percent = Annotated[float, Meta(gt=0, le=1000)]
#: What more is worth, times a price, leaves the 64 bits a run's curve is worked out in.
SHARES_MAX, RUPEES_MAX = 100_000_000, 1_000_000_000_000


class FixedQuantity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fixed_quantity"):
    """So many shares."""

    quantity: Annotated[int, Meta(ge=1, le=SHARES_MAX)]


class FixedValue(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="fixed_value"):
    """Shares for so many rupees."""

    rupees: Annotated[int, Meta(ge=1, le=RUPEES_MAX)]


class EquityPercent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="equity_percent"):
    """Shares for a percentage of the account's worth."""

    percent: Percent


class AtrRisk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="atr_risk"):
    """As many shares as lose a percentage of the account's worth when the price moves `multiple` ATRs against them."""

    percent: Percent
    multiple: Annotated[float, Meta(gt=0)] = 2.0


Sizing = FixedQuantity | FixedValue | EquityPercent | AtrRisk


def size(sizing: Sizing, *, price: float, equity_paise: int, lot: int = 1, atr: float | None = None) -> int:
    """Give the quantity of an entry at about this price."""
    if isinstance(sizing, FixedQuantity):
        return sizing.quantity // lot * lot
    if price <= 0 or equity_paise <= 0:
        return 0
    if isinstance(sizing, AtrRisk):
        if atr is None:
            raise Refused("sizing atr_risk needs the signal's ATR (metadata 'atr'); it has none")
        if atr <= 0:
            return 0
        budget_paise, risk_units = _percent_of(equity_paise, sizing.percent), atr * sizing.multiple * UNITS_PER_RUPEE
        return _lots(budget_paise, max(1, round(risk_units)), lot)
    budget_paise = (
        sizing.rupees * PAISE_PER_RUPEE if isinstance(sizing, FixedValue) else _percent_of(equity_paise, sizing.percent)
    )
    return _lots(budget_paise, round(price * UNITS_PER_RUPEE), lot)


def _percent_of(paise: int, percent: float) -> int:
    return int(paise * round(percent * 10_000)) // 1_000_000


def _lots(budget_paise: int, units_per_share: int, lot: int) -> int:
    return budget_paise * UNITS_PER_PAISA // (units_per_share * lot) * lot
