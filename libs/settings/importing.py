"""Settings of imports."""

from __future__ import annotations

import msgspec

from libs.settings.storage import NotNegative, Positive


class Importing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of `fleet import`."""

    memory_max_mib: Positive = 2048
    refused_max_percent: NotNegative = 10
    days_at_once: Positive = 3
    in_memory_percent: NotNegative = 50


class Archive(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When closed days go to the archive, in calendar days, and how they are packed there."""

    ticks_hot_days: Positive = 90
    minutes_hot_days: Positive = 365
    row_group_rows: Positive = 65_536
    compression_level: Positive = 3
    memory_max_mib: Positive = 2048
