"""Alerts: each told once while it lasts, again after a while, and when it is over. Who is told is an argument."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from libs.contracts.health import Alert, Severity
from libs.core.clock import US_PER_MINUTE, Clock
from libs.core.ids import content_id
from libs.runtime.logs import get_logger


def log_alert(alert: Alert) -> None:
    """Write it to the service's log, as loud as it is."""
    log = get_logger()
    (log.error if alert.severity is Severity.CRITICAL else log.warning)(
        "alert", severity=alert.severity.value, title=alert.title, detail=alert.detail, over=alert.is_over
    )


@dataclass
class _Standing:
    alert: Alert
    told_us: int


class Alerts:
    """What is wrong just now. Not for several threads."""

    def __init__(self, clock: Clock, tell: Callable[[Alert], None], *, repeat_min: int) -> None:
        self._clock = clock
        self._tell = tell
        self._repeat_us = repeat_min * US_PER_MINUTE
        self._standing: dict[str, _Standing] = {}

    def standing(self) -> list[Alert]:
        """Everything that is wrong, the oldest first."""
        return [each.alert for each in self._standing.values()]

    def raise_(self, key: str, severity: Severity, source: str, title: str, detail: str = "") -> None:
        """Something is wrong. Told when it is new or became worse, and again when it has lasted long."""
        now_us = self._clock.now_us()
        known = self._standing.get(key)
        repeats = known.alert.repeats + 1 if known else 1
        since_us = known.alert.since_us if known else now_us
        alert = Alert(
            content_id(key, since_us), severity, source, now_us, title, detail, repeats=repeats, since_us=since_us
        )
        is_worse = known is not None and severity.rank > known.alert.severity.rank
        due = known is None or is_worse or now_us - known.told_us >= self._repeat_us
        self._standing[key] = _Standing(alert, now_us if known is None or due else known.told_us)
        if due:
            self._tell(alert)

    def clear(self, key: str) -> None:
        """It is over; those who were told are told that, too."""
        known = self._standing.pop(key, None)
        if known is not None:
            was = known.alert
            self._tell(
                Alert(
                    was.alert_id, Severity.INFO, was.source, self._clock.now_us(), f"over: {was.title}",
                    repeats=was.repeats, since_us=was.since_us, is_over=True,
                )
            )  # fmt: skip
