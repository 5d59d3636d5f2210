"""Settings of the market feed and of the process that captures it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.settings.storage import NotNegative, Positive


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The market feed's connection and what keeps it alive."""

    mode: Annotated[str, Meta(pattern="^(full|option_greeks|full_d30)$")] = "full"
    queue_frames_max: Positive = 5000
    queue_wait_ms: Positive = 5000
    open_timeout_ms: Positive = 15_000
    ping_interval_s: Positive = 10
    pong_timeout_s: Positive = 25
    stall_timeout_s: Positive = 60
    backoff_min_ms: Positive = 500
    backoff_max_ms: Positive = 30_000
    backoff_jitter_percent: Annotated[int, Meta(ge=0, le=100)] = 50

    def __post_init__(self) -> None:
        if self.backoff_max_ms < self.backoff_min_ms:
            raise ValueError(
                f"backoff_max_ms ({self.backoff_max_ms}) must not be below backoff_min_ms ({self.backoff_min_ms})"
            )
        if self.pong_timeout_s <= self.ping_interval_s:
            raise ValueError(
                f"pong_timeout_s ({self.pong_timeout_s}) must be longer than ping_interval_s ({self.ping_interval_s})"
            )


class Ingestor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is captured, and when it becomes a bar, a late tick or a row in quarantine."""

    feed: Annotated[str, Meta(pattern="^(upstox|replay)$")] = "upstox"
    symbols: list[str] = msgspec.field(default_factory=list)
    symbols_max: Positive = 2000
    grace_ms: NotNegative = 2000
    silence_ms: Positive = 5000
    jump_max_percent: Positive = 25
    jump_repeats: Positive = 3
    future_tolerance_ms: NotNegative = 5000
    frames_per_turn_max: Positive = 64
    rows_waiting_max: Positive = 2_000_000
    candles_cached_max: Positive = 500_000
    rollover_delay_s: NotNegative = 900
    backfill: bool = True
    backfill_delay_s: NotNegative = 5
    backfill_attempts_max: Positive = 10


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recorded day as the source: whose, which, and how fast."""

    root: str = ""
    date: str = ""
    source: Annotated[str, Meta(pattern="^(ticks|candles)$")] = "ticks"
    speed: Annotated[float, Meta(ge=0)] = 0.0
    hold: bool = False
    step: bool = False


class Runtime(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every process does the same way."""

    heartbeat_interval_ms: Positive = 1000
    shutdown_deadline_s: Positive = 30
    start_seconds: NotNegative = 3
