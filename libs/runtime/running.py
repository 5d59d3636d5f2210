"""What every service does beside its own loops: answer commands, publish, beat; and hear how the others are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from libs.contracts import Health
from libs.contracts.bus import CommandRequest
from libs.core.clock import Clock
from libs.core.errors import Refused
from libs.messaging import CommandServer, Publisher, Subscriber
from libs.runtime.commands import logged
from libs.runtime.heartbeat import Pulse, beat
from libs.runtime.process import run_until
from libs.settings import Settings

#: A loop of a service: endless once it is called.
Loop = Callable[[], Coroutine[Any, Any, None]]


async def run_service_loops(
    name: str, publisher: Publisher, stop: asyncio.Event, loops: Sequence[Loop], *, settings: Settings, clock: Clock,
    status: Callable[[], dict[str, Any]], pulse: Callable[[], Pulse],
    commands: Mapping[str, Callable[[CommandRequest], Any]] | None = None,
) -> None:  # fmt: skip
    """Run a service that answers `status`, and more if given, until it is told to stop or one of its loops fails.

    The command socket is open from before the first loop until after the last.
    """
    known: dict[str, Callable[[CommandRequest], Any]] = {"status": lambda _request: status(), **(commands or {})}

    def on_command(request: CommandRequest) -> Any:
        if request.name not in known:
            raise Refused(f"{name} knows no command {request.name!r}; it knows: {', '.join(known)}")
        return known[request.name](request)

    with CommandServer.open(name, logged(on_command), settings=settings, clock=clock) as answering:
        beating = beat(name, publisher, clock, settings.runtime.heartbeat_interval_ms, pulse)
        await run_until(stop, [publisher.run(), answering.run(), *(loop() for loop in loops), beating])


async def hear_beats(name: str, heard: Callable[[Health], None], *, settings: Settings, clock: Clock) -> None:
    """Hand on every heartbeat but one's own, for ever."""
    with Subscriber.open(["telemetry.health."], settings=settings, clock=clock) as subscriber:
        async for message in subscriber:
            if isinstance(message.payload, Health) and message.payload.service != name:
                heard(message.payload)
