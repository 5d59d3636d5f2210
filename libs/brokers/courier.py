"""Requests carried away on threads of their own; what became of each waits until the engine's thread takes it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from libs.core.errors import FleetError, OutcomeUnknown, RetryLater

#: Requests under way at once.
_WRITERS, _CANCELLERS = 4, 2


class Courier:
    """Carries calls to threads and thunks back; `wake` is called on those threads when there is something to take."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._orders = ThreadPoolExecutor(_WRITERS, "broker-orders")
        # Of their own: a cancel never waits for orders that hang.
        self._cancels = ThreadPoolExecutor(_CANCELLERS, "broker-cancels")
        self._reads = ThreadPoolExecutor(1, "broker-reads")

    def send(self, work: Callable[[], None]) -> None:
        """Do it among the orders."""
        self._orders.submit(work)

    def cancel(self, work: Callable[[], None]) -> None:
        """Do it among the cancels."""
        self._cancels.submit(work)

    def read(self, work: Callable[[], None]) -> None:
        """Do it after the readings asked for before."""
        self._reads.submit(work)

    def hand_over(self, tell: Callable[[], None]) -> None:
        """Leave something for the engine's thread; called on any."""
        self._inbox.put(tell)
        self._wake()

    def deliver(self) -> int:
        """Take all that waits, in this thread; say how much it was."""
        count = 0
        with suppress(Empty):
            while True:
                tell = self._inbox.get_nowait()
                tell()
                count += 1
        return count

    def close(self) -> None:
        """Begin nothing more; what is under way is not waited for."""
        for pool in (self._orders, self._cancels, self._reads):
            pool.shutdown(wait=False, cancel_futures=True)


def outcome_of(call: Callable[[], Any]) -> Callable[[], Any]:
    """Make a call now, and give what repeats its result or its error."""
    try:
        result = call()
    except FleetError as e:
        return _raising(e)
    except Exception as e:  # noqa: BLE001  # an error nobody thought of proves nothing about the order
        return _raising(OutcomeUnknown(f"{type(e).__name__}: {e}"))
    return lambda: result


def too_late(waited_ns: int) -> Callable[[], Any]:
    return _raising(RetryLater(f"not sent: it waited {waited_ns / 1e9:.1f} s for earlier requests"))


def _raising(error: FleetError) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail
