"""Limits that hold before any order. A limit of 0 is no limit. The config store overrides them more narrowly."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.settings.storage import NotNegative, Positive

NotNegativeFloat = Annotated[float, Meta(ge=0)]
Percent = Annotated[int, Meta(ge=1, le=100)]


class Risk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account_*` bounds the account, `strategy_*` each strategy, `symbol_*` each symbol, the rest every order."""

    account_order_value_max_rupees: NotNegative = 1_000_000
    account_exposure_max_rupees: NotNegative = 5_000_000
    account_exposure_equity_max_percent: NotNegative = 500
    account_trades_day_max: NotNegative = 500
    account_loss_day_max_rupees: NotNegative = 25_000
    account_drawdown_max_percent: NotNegativeFloat = 10.0
    account_funds_reserve_rupees: NotNegative = 0
    account_funds_margin_intraday_percent: Percent = 25
    account_funds_age_max_s: NotNegative = 300
    strategy_order_value_max_rupees: NotNegative = 1_000_000
    strategy_exposure_max_rupees: NotNegative = 2_000_000
    strategy_trades_day_max: NotNegative = 200
    strategy_loss_day_max_rupees: NotNegative = 10_000
    symbol_order_value_max_rupees: NotNegative = 500_000
    symbol_order_max_quantity: NotNegative = 0
    symbol_exposure_max_rupees: NotNegative = 1_000_000
    symbol_position_max_quantity: NotNegative = 0
    symbol_trades_day_max: NotNegative = 50
    price_band_max_percent: NotNegativeFloat = 5.0
    signal_age_max_s: NotNegative = 120
    price_age_max_s: NotNegative = 120
    slices_max: Positive = 25
    last_entry_before_close_min: NotNegative = 30
    square_off_before_close_min: NotNegative = 15
    order_rate_window_s: tuple[Positive, ...] = (1, 60, 1800)
    order_rate_max: tuple[Positive, ...] = (10, 500, 2000)
    order_rate_entries_max_percent: Percent = 80

    def __post_init__(self) -> None:
        if len(self.order_rate_window_s) != len(self.order_rate_max):
            raise ValueError(
                f"order_rate_window_s has {len(self.order_rate_window_s)} windows and order_rate_max "
                f"{len(self.order_rate_max)} limits; each window needs its limit"
            )
        if self.last_entry_before_close_min < self.square_off_before_close_min:
            raise ValueError(
                f"last_entry_before_close_min ({self.last_entry_before_close_min}) is after the square-off "
                f"({self.square_off_before_close_min} min before the close): entries would be closed at once"
            )
