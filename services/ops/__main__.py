"""`python -m services.ops`: look after the fleet until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.process import run_service
from services.ops.manifest import NAME
from services.ops.service import serve

if __name__ == "__main__":
    sys.exit(run_service(NAME, serve, SystemClock()))
