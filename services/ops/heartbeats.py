"""Who beats, who is silent, who says it is unwell. Heartbeats come over the bus, apart from business."""

from __future__ import annotations

from collections.abc import Sequence

from libs.contracts import Health, HealthState
from libs.contracts.health import Severity
from libs.core.clock import Clock
from libs.runtime.alerts import Alerts
from libs.settings.ops import Ops

_BYTES_PER_MIB = 1_048_576


class Heartbeats:
    """The newest heartbeat of every service. One that is watched and silent is the loudest thing there is."""

    def __init__(
        self, clock: Clock, alerts: Alerts, *, watched: Sequence[str], lost_s: int, limits: Ops | None = None
    ) -> None:
        self._clock = clock
        self._alerts = alerts
        self._limits = limits or Ops()
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
        self._look_at_figures(beat)
        key = f"state {beat.service}"
        if beat.state is HealthState.GREEN:
            self._alerts.clear(key)
            return
        severity = Severity.CRITICAL if beat.state is HealthState.ERROR else Severity.WARNING
        self._alerts.raise_(key, severity, beat.service, f"{beat.service} is unwell", beat.detail)

    def _look_at_figures(self, beat: Health) -> None:
        """Memory or descriptors that only grow end a service in the middle of a session."""
        memory_mib = int(beat.figures.get("process_memory_bytes", 0)) // _BYTES_PER_MIB
        descriptors = int(beat.figures.get("process_descriptors", 0))
        for what, found, limit in (
            ("MiB of memory", memory_mib, self._limits.memory_warning_mib),
            ("descriptors", descriptors, self._limits.descriptors_warning),
        ):
            key = f"{what} {beat.service}"
            if found > limit:
                title = f"{beat.service} holds {found} {what}"
                self._alerts.raise_(key, Severity.WARNING, beat.service, title, f"more than {limit}")
            else:
                self._alerts.clear(key)

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
