"""`python -m services.exchange_sim`: run the simulator until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.launch import launch
from services.exchange_sim.manifest import NAME
from services.exchange_sim.options import given_options

if __name__ == "__main__":
    sys.exit(launch(NAME, "services.exchange_sim.service", SystemClock(), given_options()))
