"""Settings of the broker's connection."""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.settings.storage import Positive

#: What the broker's own kill switch can stop.
Segment = Literal["NSE_EQ", "BSE_EQ", "NSE_FO", "BSE_FO", "NCD_FO", "BCD_FO", "MCX_FO", "NSE_COM"]


class Upstox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is and how long to wait for it. Times are whole seconds: the SDK ignores fractions."""

    api_url: str = ""
    order_url: str = ""
    stream_url: str = ""
    assets_url: str = ""
    access_token_file: str = ""
    analytics_token_file: str = ""
    client_id: str = ""
    client_secret_file: str = ""
    redirect_uri: str = ""
    ca_file: str = ""
    connect_timeout_s: Positive = 5
    read_timeout_s: Positive = 10
    user_agent: str = "tradefleet"
    algo_name: str = ""
    order_wait_max_ms: Positive = 2000
    poll_interval_ms: Positive = 3000
    stream_ping_interval_s: Positive = 10
    stream_silence_max_s: Positive = 30
    switch_segments: tuple[Segment, ...] = ("NSE_EQ",)

    def __post_init__(self) -> None:
        if not self.switch_segments:
            raise ValueError("switch_segments is empty; name at least the segment that is traded, NSE_EQ")
