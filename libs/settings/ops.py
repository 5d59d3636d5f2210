"""Settings of the ops service."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.settings.storage import Positive

Percent = Annotated[float, Meta(ge=0, le=100)]
Hour = Annotated[int, Meta(ge=0, le=23)]


class Ops(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done on a schedule, what is watched, and who is told."""

    watched: list[str] = msgspec.field(default_factory=lambda: ["ingestor", "scanner", "execution_engine", "watchdog"])
    heartbeat_lost_s: Positive = 15
    health_interval_min: Positive = 15
    trading_backup_interval_min: Positive = 60
    daily_hour: Hour = 18
    weekly_day: Annotated[int, Meta(ge=1, le=7)] = 6
    watch_interval_min: Positive = 5
    clock_offset_max_ms: Positive = 500
    coverage_min_percent: Percent = 99.0
    memory_warning_mib: Positive = 4096
    descriptors_warning: Positive = 4096
    retry_min: Positive = 15
    alert_repeat_min: Positive = 30
    alert_urls_file: str = ""
    quiet_from_hour: Hour = 0
    quiet_to_hour: Hour = 0
