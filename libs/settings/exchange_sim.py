"""Settings of the exchange simulator."""

from __future__ import annotations

from datetime import date, datetime
from ipaddress import ip_address
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.settings.storage import NotNegative, Positive


class ExchangeSim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The simulated broker and its market."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 9100
    tls_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    tls_certificate_path: str = ""
    tls_key_path: str = ""
    seed: NotNegative = 7
    symbols: Annotated[int, Meta(ge=1, le=2000)] = 50
    start: str = ""
    speed: Annotated[float, Meta(gt=0, le=10_000)] = 1.0
    skip_closed: bool = True
    holidays: list[str] = msgspec.field(default_factory=list)
    cash: Annotated[float, Meta(ge=0)] = 1_000_000.0
    conflation_ms: Annotated[int, Meta(ge=50, le=60_000)] = 500
    ticks_per_frame_max: Positive = 100
    depth_only_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    missing_depth_share: Annotated[float, Meta(ge=0, le=1)] = 0.02
    frames_queued_max: Positive = 2000
    ping_interval_s: Annotated[float, Meta(gt=0)] = 10.0
    feed_connections_max: Positive = 5
    order_latency_ms: NotNegative = 20
    orders_per_second_max: Positive = 10
    orders_per_minute_max: Positive = 500
    orders_per_half_hour_max: Positive = 2000
    requests_per_second_max: Positive = 50
    requests_per_minute_max: Positive = 500
    requests_per_half_hour_max: Positive = 2000
    record_ticks: bool = False
    recorded_ticks_max: Positive = 2_000_000
    trading_token: str = "simulated-trading-token"  # noqa: S105  # opens the simulator only
    analytics_token: str = "simulated-analytics-token"  # noqa: S105

    def __post_init__(self) -> None:
        try:
            loopback = self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise ValueError(f"host is {self.host!r}; the simulator has known tokens and serves this machine only")
        for text in self.holidays:
            try:
                date.fromisoformat(text)
            except ValueError as e:
                raise ValueError(f"holidays has {text!r}; expected dates as in 2026-02-03") from e
        if self.start:
            try:
                datetime.fromisoformat(self.start)
            except ValueError as e:
                raise ValueError(f"start is {self.start!r}; expected IST as in 2026-02-02T09:14:30") from e
        if self.tls_port and not (self.tls_certificate_path and self.tls_key_path):
            raise ValueError("tls_port needs tls_certificate_path and tls_key_path")
