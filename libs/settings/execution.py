"""Settings of the execution engine: with whom it trades, how entries are sized and left, and what halts it."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.settings.storage import NotNegative, Positive

NotNegativeFloat = Annotated[float, Meta(ge=0)]


class Execution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What holds for every strategy unless `plans` says otherwise for one.

    `plans` maps a strategy instance to a table with any of sizing, sizing_amount, product, stop_percent,
    target_percent, trail_percent, stop_atr, target_atr, trail_atr, time_min, square_off.
    """

    broker: str = "paper"
    i_understand_this_trades_real_money: bool = False
    capital_rupees: Positive = 1_000_000
    sizing: Annotated[str, Meta(pattern="^(fixed_quantity|fixed_value|equity_percent|atr_risk)$")] = "equity_percent"
    sizing_amount: Annotated[float, Meta(gt=0)] = 5.0
    product: Annotated[str, Meta(pattern="^(intraday|delivery)$")] = "intraday"
    stop_percent: NotNegativeFloat = 1.0
    target_percent: NotNegativeFloat = 0.0
    trail_percent: NotNegativeFloat = 0.0
    stop_atr: NotNegativeFloat = 0.0
    target_atr: NotNegativeFloat = 0.0
    trail_atr: NotNegativeFloat = 0.0
    time_min: NotNegative = 0
    square_off: bool = True
    plans: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    exit_source: Annotated[str, Meta(pattern="^(tick|bar)$")] = "tick"
    paper_fill: Annotated[str, Meta(pattern="^(next_tick|next_bar_open)$")] = "next_tick"
    paper_slippage_ticks: NotNegative = 1
    paper_spread_ticks: NotNegative = 1
    paper_participation_max_percent: Positive = 100
    exit_retry_s: Positive = 5
    cancel_retry_s: Positive = 10
    reconcile_interval_s: Positive = 30
    signals_poll_ms: Positive = 1000
    barrier_timeout_ms: Positive = 2000
    market_silence_ms: Positive = 5000
    feed_stale_s: Positive = 90
    heartbeat_lost_s: Positive = 30
    reject_storm_max: Positive = 10
    reject_storm_window_s: Positive = 60
    outbox_keep_days: Positive = 7
