"""A program under the profile live, against the simulator: `python -m tests.kit.as_live MODULE [ARGUMENT …]`.

All of it is the real thing but for two: the wall that keeps the profile live from a simulator is down, and the
machine's clock is the simulated exchange's, so that a session is on whatever the hour.
"""

from __future__ import annotations

import json
import runpy
import sys
import time
import urllib.request
from typing import Any

from libs.core.clock import SystemClock
from libs.settings import load_settings
from libs.upstox import hosts
from tests.kit.processes import wait_until


def pretend() -> None:
    """Take the wall down and set the clock."""
    url = f"{load_settings().upstox.api_url}/_sim/clock"

    def exchange_clock() -> dict[str, Any] | None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # our own address
                return dict(json.load(answer))
        except OSError:
            return None

    found = wait_until(exchange_clock, "the simulator to tell the time", every_s=0.1)
    assert isinstance(found, dict)
    began_us, began_ns, speed = int(found["now_ms"]) * 1000, time.monotonic_ns(), float(found["speed"])
    SystemClock.now_us = lambda _: began_us + int((time.monotonic_ns() - began_ns) // 1000 * speed)  # type: ignore[method-assign]
    hosts._check = lambda *_: None


if __name__ == "__main__":
    pretend()
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
