"""Settings of the stores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]


def in_data_root(path: str, data_root: str) -> Path:
    """Give a directory of the settings: in the data root when it is relative."""
    found = Path(path).expanduser()
    return found if found.is_absolute() else Path(data_root) / found


class Data(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the stores are."""

    root: str = "data"
    exchange: str = "nse"


class Live(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The live buffer and the snapshots readers get of it."""

    flush_interval_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1000
    merge_minute_segments_min: Positive = 60
    merge_hour_segments_min: Positive = 60
    merge_memory_max_mib: Positive = 512
    rebuild_segment_rows_max: Positive = 2_000_000
    pin_retry_count_max: Positive = 50


class Sqlite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pragmas and the checkpoint policy of the SQLite stores."""

    busy_timeout_ms: Positive = 5000
    cache_size_kib: Positive = 65_536
    checkpoint_transactions_max: Positive = 1000
    checkpoint_interval_s: Positive = 60


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits of market data queries."""

    memory_max_mib: Positive = 4096
    threads_max: Positive = 2
    attached_days_max: Positive = 1000
    timeout_s: Positive = 300
    table_rows_max: Positive = 1000


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `fleet health`."""

    disk_free_error_gib: NotNegative = 10
    disk_free_warning_gib: NotNegative = 50
    write_ahead_log_warning_mib: Positive = 256

    def __post_init__(self) -> None:
        if self.disk_free_warning_gib < self.disk_free_error_gib:
            raise ValueError(
                f"disk_free_warning_gib ({self.disk_free_warning_gib}) must not be below "
                f"disk_free_error_gib ({self.disk_free_error_gib})"
            )


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long copies are kept; the newest of each kind always is."""

    trading_keep_hours: Positive = 24
    config_keep_days: Positive = 30
    market_keep_weeks: Positive = 4


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What services say about themselves."""

    level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"
    format: Annotated[str, Meta(pattern="^(auto|text|json)$")] = "auto"
