"""`python -m services.execution_engine`: trade until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.launch import launch
from services.execution_engine.manifest import NAME

if __name__ == "__main__":
    sys.exit(launch(NAME, "services.execution_engine.service", SystemClock()))
