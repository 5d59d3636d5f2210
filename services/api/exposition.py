"""The heartbeats of all services as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Every service has these; what it counts besides is `tradefleet_figure{service,name}`.
GAUGES: dict[str, str] = {
    "tradefleet_heartbeat_age_seconds": "since the service was last heard",
    "tradefleet_healthy": "1 as it says itself, 0 when it warns or fails",
    "tradefleet_loop_lag_seconds": "how late its event loop was",
    "tradefleet_queue_length": "what waits in it",
    "tradefleet_last_message_age_seconds": "since the newest message it worked on; absent before the first",
    "tradefleet_process_memory_bytes": "resident memory",
    "tradefleet_process_descriptors": "open files and sockets",
    "tradefleet_process_threads": "threads",
    "tradefleet_process_cpu_seconds": "processor time since its start",
    "tradefleet_figure": "what the service counts, by name",
}


def exposition(services: Sequence[dict[str, Any]], now_us: int) -> list[str]:
    """Give the lines of the page, a family after the other."""
    lines = []
    for gauge, purpose in GAUGES.items():
        lines += [f"# HELP {gauge} {purpose}", f"# TYPE {gauge} gauge"]
        lines += [line for row in services for line in _samples(gauge, row, now_us)]
    return lines


def _samples(gauge: str, row: dict[str, Any], now_us: int) -> list[str]:
    service, figures = row["service"], row["figures"]
    if gauge == "tradefleet_figure":
        return [
            f'{gauge}{{service="{service}",name="{name}"}} {value}'
            for name, value in sorted(figures.items())
            if not name.startswith("process_")
        ]
    value = _value(gauge, row, figures, now_us)
    return [] if value is None else [f'{gauge}{{service="{service}"}} {value}']


def _value(gauge: str, row: dict[str, Any], figures: dict[str, float], now_us: int) -> float | None:
    match gauge.removeprefix("tradefleet_"):
        case "heartbeat_age_seconds":
            return float(row["age_ms"]) / 1000
        case "healthy":
            return float(row["state"] == "green")
        case "loop_lag_seconds":
            return float(row["loop_lag_us"]) / 1e6
        case "queue_length":
            return float(row["queue_length"])
        case "last_message_age_seconds":
            return max(0, now_us - row["last_message_us"]) / 1e6 if row["last_message_us"] else None
        case figure:
            return figures.get(figure)
