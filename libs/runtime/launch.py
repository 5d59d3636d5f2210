"""The first thing a service's process does: say what signals mean, and only then load what the service is made of.

Loading is most of a start. SIGHUP waits until the service can reload; who is asked to end meanwhile ends well, with
nothing opened yet: killed by the signal it would look like a crash, and be started again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from libs.core.clock import Clock

if TYPE_CHECKING:
    import asyncio


def launch(
    name: str, module: str, clock: Clock, *arguments: Any,
    make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:  # fmt: skip
    """Run the `serve` of a module as a service, with arguments of its own after the usual; give the exit code."""
    # The kernel remembers one that comes now; `run_service` takes it once the service knows how to reload.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        serve = import_module(module).serve
        from libs.runtime.process import run_service

        return run_service(name, lambda *usual: serve(*usual, *arguments), clock, make_loop=make_loop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(_number: int, _frame: object) -> None:
    os._exit(0)
