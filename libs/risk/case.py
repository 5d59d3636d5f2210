"""One order before the gate, with everything a check looks at already at hand."""

from __future__ import annotations

import msgspec

from libs.orders.instrument import Instrument
from libs.risk.holding import Holding, SymbolState
from libs.risk.limits import Limits
from libs.risk.request import OrderRequest
from libs.risk.state import RiskState


class Case(msgspec.Struct, frozen=True):
    """`units` is the dearest price the order may trade at, in ten-thousandths; `value_paise` the order at it."""

    request: OrderRequest
    now_us: int
    limits: Limits
    state: RiskState
    symbol: SymbolState
    holding: Holding
    instrument: Instrument
    units: int
    value_paise: int
