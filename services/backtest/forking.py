"""Whether this process may be forked."""

from __future__ import annotations

from pathlib import Path

from libs.core.clock import SystemClock

#: A thread that is over is there a little longer.
GONE_S = 0.2


def may_fork(wait_s: float | None = None) -> bool:
    """Whether a copy of this process would be whole: there is no other thread, which might hold a lock just now."""
    clock = SystemClock()
    until_ns = clock.monotonic_ns() + int((GONE_S if wait_s is None else wait_s) * 1e9)
    try:
        while len(list(Path("/proc/self/task").iterdir())) > 1:
            if clock.monotonic_ns() >= until_ns:
                return False
            clock.sleep(0.001)
    except OSError:  # not Linux
        return False
    return True
