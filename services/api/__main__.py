"""`python -m services.api`: serve HTTP until SIGTERM or Ctrl-C."""

from __future__ import annotations

import sys

import uvloop

from libs.core.clock import SystemClock
from libs.runtime.process import run_service
from services.api.manifest import NAME
from services.api.service import serve

if __name__ == "__main__":
    sys.exit(run_service(NAME, serve, SystemClock(), make_loop=uvloop.new_event_loop))
