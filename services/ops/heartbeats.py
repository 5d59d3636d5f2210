"""Who beats, who is silent, who says it is unwell. Heartbeats come over the bus, apart from business."""

from __future__ import annotations

from collections.abc import Sequence

from libs.contracts import Health, HealthState
from libs.contracts.health import Severity
from libs.core.clock import Clock
from libs.runtime.alerts import Alerts


class Heartbeats:
    """The newest heartbeat of every service. One that is watched and silent is the loudest thing there is."""

    def __init__(self, clock: Clock, alerts: Alerts, *, watched: Sequence[str], lost_s: int) -> None:
        self._clock = clock
        self._alerts = alerts
        self._lost_ns = lost_s * 1_000_000_000
        self.newest: dict[str, Health] = {}
        self._heard_ns = dict.fromkeys(watched, clock.monotonic_ns())

    @property
    def market_us(self) -> int:
        """The market's own time, as the ingestor last told it; 0 before it did."""
        beat = self.newest.get("ingestor")
        return int(beat.figures.get("session_us", 0)) if beat else 0

    def heard(self, beat: Health) -> None:
        """Take a heartbeat."""
        self.newest[beat.service] = beat
        if beat.service in self._heard_ns:
            self._heard_ns[beat.service] = self._clock.monotonic_ns()
        key = f"state {beat.service}"
        if beat.state is HealthState.GREEN:
            self._alerts.clear(key)
            return
        severity = Severity.CRITICAL if beat.state is HealthState.ERROR else Severity.WARNING
        self._alerts.raise_(key, severity, beat.service, f"{beat.service} is unwell", beat.detail)

    def look(self) -> None:
        """Raise what is silent."""
        now_ns = self._clock.monotonic_ns()
        for service, heard_ns in self._heard_ns.items():
            key = f"silent {service}"
            silent_ns = now_ns - heard_ns
            if silent_ns < self._lost_ns:
                self._alerts.clear(key)
                continue
            last = self.newest.get(service)
            held = int(last.figures.get("positions", 0)) if last and service == "execution_engine" else 0
            title = f"{service} is silent" + (f" with {held} positions open" if held else "")
            detail = f"no heartbeat for {silent_ns // 1_000_000_000} s; `fleet status`, `fleet logs {service}`"
            self._alerts.raise_(key, Severity.CRITICAL, service, title, detail)
