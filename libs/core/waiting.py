"""Waiting inside an event loop in a way that can always be ended.

`asyncio.wait_for` of Python 3.11 may lose a cancellation that comes together with its result: an endless loop around it
then goes on for ever, and its process with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

_CANCEL_AGAIN_S = 0.05


async def wait_a_while(event: asyncio.Event, longest_s: float) -> None:
    """Wait for an event, but not longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await event.wait()


async def end_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks until each has come to its end, also those that lose a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
