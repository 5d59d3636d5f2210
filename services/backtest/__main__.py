"""`python -m services.backtest`: keep the index and run the jobs until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.launch import launch
from services.backtest.manifest import NAME

if __name__ == "__main__":
    sys.exit(launch(NAME, "services.backtest.service", SystemClock()))
