"""`python -m services.ingestor`: capture until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

from libs.core.clock import SystemClock
from libs.runtime.process import run_service
from services.ingestor.manifest import NAME
from services.ingestor.service import serve

if __name__ == "__main__":
    sys.exit(run_service(NAME, serve, SystemClock()))
