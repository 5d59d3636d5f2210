"""How a service says it is alive."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from libs.contracts.base import Event


class HealthState(StrEnum):
    """One word for a service or a check."""

    GREEN = "green"
    WARNING = "warning"
    ERROR = "error"


class Health(Event, frozen=True, tag="health"):
    """A heartbeat: who, how it is, and the few figures a watchdog needs."""

    service: str
    timestamp_us: int
    state: HealthState
    pid: int
    detail: str = ""
    loop_lag_us: int = 0
    last_message_us: int = 0
    queue_length: int = 0
    figures: dict[str, float] = msgspec.field(default_factory=dict)


class Severity(StrEnum):
    """How loud an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Higher is louder."""
        return list(Severity).index(self)


class Alert(Event, frozen=True, tag="alert"):
    """What ops wants somebody to know. `is_over`: it was, and is no more."""

    alert_id: str
    severity: Severity
    source: str
    timestamp_us: int
    title: str
    detail: str = ""
    repeats: int = 1
    since_us: int = 0
    is_over: bool = False
