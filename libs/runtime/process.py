"""The life of a service's process: settings, logs, one event loop, signals, a deadline, and what its exit code says.

0 it was asked to stop, 1 it failed and may be started again, 3 another process holds its store, 78 its configuration is
wrong and starting it again is no use.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from libs.core.clock import Clock
from libs.core.errors import FleetError, Refused
from libs.core.waiting import end_all
from libs.dbaccess.errors import StoreMissing, WriterLockHeld
from libs.runtime.logs import configure_logs, get_logger
from libs.runtime.structured import structlog
from libs.settings import Settings, SettingsError, load_settings

FAILED, STORE_HELD, WRONG_CONFIGURATION = 1, 3, 78

#: A service: runs until the event is set, then returns. Raises `WrongConfiguration` when it can never start.
Service = Callable[[Settings, Clock, asyncio.Event], Awaitable[None]]


class WrongConfiguration(Refused):
    """The service cannot run as it is configured; says which setting and what was expected."""


def run_service(
    name: str, service: Service, clock: Clock, *, make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> int:
    """Run a service until SIGTERM or SIGINT, on asyncio's event loop or another; give the process's exit code."""
    try:
        settings = load_settings()
    except SettingsError as e:
        sys.stderr.write(f"{name}: {e}\n")
        # supervisord honours an exit code only of a process that lived for `startsecs`.
        clock.sleep(float(os.environ.get("TRADEFLEET_RUNTIME_START_SECONDS", "3")))
        return WRONG_CONFIGURATION
    configure_logs(name, settings.log, clock)
    structlog.contextvars.bind_contextvars(pid=os.getpid())
    log = get_logger()
    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            return runner.run(_run(name, service, settings, clock))
    except WriterLockHeld as e:
        log.error("process.store_held", error=str(e))
        return STORE_HELD
    except (WrongConfiguration, StoreMissing) as e:
        log.error("process.wrong_configuration", error=str(e))
        clock.sleep(settings.runtime.start_seconds)
        return WRONG_CONFIGURATION
    except FleetError as e:
        log.error("process.failed", kind=type(e).__name__, error=str(e))
        return FAILED


async def run_until(stop: asyncio.Event, loops: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run endless loops side by side until told to stop or one of them fails; its error is raised."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_all([*tasks, stopping])
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def reload_settings(name: str, clock: Clock) -> None:
    """On SIGHUP: take over how to log. Wrong settings are said, and the old ones stay."""
    try:
        configure_logs(name, load_settings().log, clock)
    except SettingsError as e:
        get_logger().error("process.not_reloaded", error=str(e))
    else:
        get_logger().info("process.reloaded")


async def _run(name: str, service: Service, settings: Settings, clock: Clock) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload_settings, name, clock)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that came during the start comes now
    work = asyncio.ensure_future(service(settings, clock, stop))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        get_logger().info("process.stopping")
        await asyncio.wait({work}, timeout=settings.runtime.shutdown_deadline_s)
        if not work.done():
            get_logger().error("process.deadline", deadline_s=settings.runtime.shutdown_deadline_s)
            # Whatever holds it up holds threads up, too: stores are made for a sudden end, waiting is not.
            os._exit(FAILED)
    stopping.cancel()
    await work
    get_logger().info("process.stopped")
    return 0
