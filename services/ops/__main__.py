"""`python -m services.ops`: look after the fleet until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.launch import launch
from services.ops.manifest import NAME

if __name__ == "__main__":
    sys.exit(launch(NAME, "services.ops.service", SystemClock()))
