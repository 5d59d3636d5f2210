"""Settings of the API service."""

from __future__ import annotations

import msgspec

from libs.settings.bus import Port
from libs.settings.storage import Positive


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it listens, how long a login lasts, how much one answer holds."""

    host: str = "127.0.0.1"
    port: Port = 8000
    session_idle_min: Positive = 720
    session_max_min: Positive = 10_080
    link_max_min: Positive = 60
    password_characters_min: Positive = 10
    failed_logins_max: Positive = 5
    lockout_min: Positive = 15
    attempts_per_address_max: Positive = 30
    broker_login_max_min: Positive = 10
    broker_check_interval_s: Positive = 60
    sessions_per_user_max: Positive = 20
    rows_max: Positive = 1000
    candles_max: Positive = 10_000
    log_lines_max: Positive = 2000
    push_interval_ms: Positive = 250
    push_clients_max: Positive = 500
    topics_max: Positive = 20_000
    outbox_keep_days: Positive = 30
