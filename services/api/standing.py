"""What is wrong now: alerts that were raised and are not over."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from libs.contracts.health import Alert
from libs.core.clock import Clock
from libs.messaging import Subscriber
from libs.settings import Settings

_TOPICS = ("alert.",)
_KEPT_MAX = 200
_US_PER_MINUTE = 60_000_000


class Standing:
    """Hears every alert, none left out: the one that is left out may be the one that says it is over."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._alerts: dict[str, Alert] = {}
        # What lasts is told again; who raised one and was started anew since does not, nor says that it is over.
        self._lasts_us = 2 * settings.ops.alert_repeat_min * _US_PER_MINUTE

    async def run(self) -> None:
        """Listen for ever."""
        with Subscriber.open(_TOPICS, settings=self._settings, clock=self._clock) as subscriber:
            messages: AsyncGenerator[Any, None] = subscriber.__aiter__()
            async with aclosing(messages):
                async for message in messages:
                    if isinstance(message.payload, Alert):
                        self.take_in(message.payload)

    def take_in(self, alert: Alert) -> None:
        """Take an alert, or the word that one is over."""
        self._alerts.pop(alert.alert_id, None)
        if alert.is_over:
            return
        self._alerts[alert.alert_id] = alert
        if len(self._alerts) > _KEPT_MAX:
            self._alerts.pop(next(iter(self._alerts)))

    def now(self) -> list[Alert]:
        """Give what stands, the worst first, and of those the newest; any thread may ask."""
        oldest_us = self._clock.now_us() - self._lasts_us
        found = [alert for alert in list(self._alerts.values()) if alert.timestamp_us >= oldest_us]
        return sorted(found, key=lambda alert: (-alert.severity.rank, -alert.timestamp_us))
