"""A service's heartbeat on `telemetry.health.<service>|`, with how late its own event loop is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

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
                now.queue_length, now.figures,
            ),
        )  # fmt: skip
        asked_ns = clock.monotonic_ns()
        await asyncio.sleep(interval_ms / 1000)
        lag_us = max(0, (clock.monotonic_ns() - asked_ns) // 1000 - interval_ms * 1000)
