"""Settings of the watchdog."""

from __future__ import annotations

import msgspec

from libs.settings.storage import Positive


class Watchdog(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a service counts as hung, and when restarting it is no use."""

    watched: list[str] = msgspec.field(
        default_factory=lambda: ["ingestor", "scanner", "execution_engine", "backtest", "api", "ops"]
    )
    look_interval_ms: Positive = 1000
    hung_s: Positive = 20
    start_grace_s: Positive = 120
    lag_warning_ms: Positive = 2000
    engine_silent_s: Positive = 10
    engine_alarm_repeat_min: Positive = 1
    restarts_max: Positive = 5
    restarts_window_s: Positive = 300
