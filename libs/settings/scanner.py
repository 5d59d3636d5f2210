"""Settings of the scanner."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from libs.settings.storage import Positive, in_data_root

Timeframe = Literal["1m", "5m", "15m", "1h", "4h", "1d"]


class Scanner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs when the config store names nothing, and how often the config store is looked at."""

    strategies: list[str] = msgspec.field(default_factory=list)
    symbols: list[str] = msgspec.field(default_factory=list)
    config_poll_ms: Positive = 2000
    minute_wait_ms: Positive = 10_000
    outbox_keep_days: Positive = 7
    insights_keep_days: Positive = 400
    scans: list[str] = msgspec.field(default_factory=list)
    scan_picks_max: Positive = 50
    index: str = "NIFTY"
    user_scans_directory: str = "scans"
    analytics_timeframes: list[Timeframe] = msgspec.field(default_factory=lambda: ["5m"])
    analytics_symbols: list[str] = msgspec.field(default_factory=list)

    def scans_directory(self, data_root: str) -> Path:
        """The user's scans: in the data root when relative."""
        return in_data_root(self.user_scans_directory, data_root)
