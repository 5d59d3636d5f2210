"""Settings of the backtest service."""

from __future__ import annotations

import msgspec

from libs.settings.storage import Positive


class Backtest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Jobs, the index, and clean-up."""

    workers_max: Positive = 1
    jobs_waiting_max: Positive = 1000
    reconcile_interval_s: Positive = 10
    cleanup_interval_min: Positive = 60
    stop_timeout_s: Positive = 10
