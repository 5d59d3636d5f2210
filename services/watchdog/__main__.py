"""`python -m services.watchdog`: an event listener of supervisord, which starts it."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.launch import launch
from services.watchdog.listener import own_stdout
from services.watchdog.manifest import NAME

if __name__ == "__main__":
    own_stdout()
    sys.exit(launch(NAME, "services.watchdog.service", SystemClock()))
