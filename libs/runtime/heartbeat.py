"""A service's heartbeat on `telemetry.health.<service>|`, with how late its own event loop is."""

from __future__ import annotations

import asyncio
import os
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from libs.contracts import Health, HealthState
from libs.contracts.topics import topic
from libs.core.clock import Clock
from libs.messaging import Publisher


class Pulse(msgspec.Struct, frozen=True):
    """How a service is, as it sees it."""

    state: HealthState = HealthState.GREEN
    detail: str = ""
    last_message_us: int = 0
    queue_length: int = 0
    figures: dict[str, float] = msgspec.field(default_factory=dict)


def process_figures() -> dict[str, float]:
    """Give what every process is asked: memory, descriptors, threads, seconds of processor time."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "process_memory_bytes": float(pages * resource.getpagesize()),
        "process_descriptors": float(sum(1 for _ in Path("/proc/self/fd").iterdir())),
        "process_threads": float(threading.active_count()),
        "process_cpu_seconds": used.ru_utime + used.ru_stime,
    }


async def beat(service: str, publisher: Publisher, clock: Clock, interval_ms: int, pulse: Callable[[], Pulse]) -> None:
    """Publish a heartbeat at every interval, for ever. A beat that comes late says by how much."""
    name = topic("telemetry", "health", service)
    lag_us = 0
    while True:
        now = pulse()
        publisher.publish(
            name,
            Health(
                service, clock.now_us(), now.state, os.getpid(), now.detail, lag_us, now.last_message_us,
                now.queue_length, now.figures | process_figures(),
            ),
        )  # fmt: skip
        asked_ns = clock.monotonic_ns()
        await asyncio.sleep(interval_ms / 1000)
        lag_us = max(0, (clock.monotonic_ns() - asked_ns) // 1000 - interval_ms * 1000)
