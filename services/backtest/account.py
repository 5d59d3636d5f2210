"""The account a run trades with: the desk that runs live, under the run's own limits, costs and sizes."""

from __future__ import annotations

from libs.core.clock import US_PER_SECOND, trading_date
from libs.orders.charges import ChargeBook
from libs.orders.profit import opening_equity
from libs.risk.gate import Gate
from libs.risk.limits import LimitTree
from libs.risk.rates import RateWindows
from libs.risk.state import RiskState
from libs.settings.charges import read_charges
from libs.settings.risk import Risk
from libs.trading.desk import Desk
from services.backtest.data import RunData, instrument_of
from services.backtest.request import RunRequest


def make_desk(request: RunRequest, data: RunData, risk: Risk) -> Desk:
    """Make the account: the gate that runs live, with the run's limits, costs and sizes."""
    first = trading_date(int(min(each.timestamps[0] for each in data.columns)))
    rates = RateWindows(
        zip([s * US_PER_SECOND for s in risk.order_rate_window_s], risk.order_rate_max, strict=True),
        entries_percent=risk.order_rate_entries_max_percent,
    )
    state = RiskState(day=first, equity=opening_equity(first, request.cash_paise), rates=rates)
    for each in data.columns:
        state.on_instrument(instrument_of(request, each))
    charges = ChargeBook.from_documents(read_charges()) if request.costs else None
    return Desk(
        gate=Gate(state, LimitTree(risk, request.overrides)), plans=request.plans(), cash_paise=request.cash_paise,
        charges=charges, risk=risk,
    )  # fmt: skip
