"""`python -m services.watchdog`: an event listener of supervisord, which starts it."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.process import run_service
from services.watchdog.listener import own_stdout
from services.watchdog.manifest import NAME
from services.watchdog.service import serve

if __name__ == "__main__":
    own_stdout()
    sys.exit(run_service(NAME, serve, SystemClock()))
