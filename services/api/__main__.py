"""`python -m services.api`: serve HTTP until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from libs.core.clock import SystemClock
from libs.runtime.launch import launch
from services.api.manifest import NAME

if TYPE_CHECKING:
    import asyncio


#: How long a thread that reads candles may have to wait for the event loop to let go of the interpreter; Python's own
#: 5 ms, some dozen times an answer, are most of the time of a query beside many live pages.
_SWITCH_S = 0.001


def _make_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


if __name__ == "__main__":
    sys.setswitchinterval(_SWITCH_S)
    sys.exit(launch(NAME, "services.api.service", SystemClock(), make_loop=_make_loop))
