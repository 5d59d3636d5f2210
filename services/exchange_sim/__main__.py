"""`python -m services.exchange_sim`: run the simulator until SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from libs.core.clock import SystemClock
from libs.core.errors import FleetError
from libs.runtime.logs import configure_logs
from libs.runtime.process import reload_settings
from libs.settings import Settings, load_settings
from libs.settings.exchange_sim import ExchangeSim
from services.exchange_sim.bookmark import Bookmark, last_closed_day
from services.exchange_sim.manifest import NAME
from services.exchange_sim.service import run
from services.exchange_sim.settings import OPTIONS, simulator_settings

#: What supervisord is told not to restart after: the configuration is wrong.
_WRONG_CONFIGURATION = 78


def main() -> int:
    """Read the settings and serve."""
    options = _options()
    clock = SystemClock()
    try:
        settings = load_settings()
        chosen = simulator_settings(settings, options)
    except FleetError as e:
        sys.stderr.write(f"{NAME}: {e}\n")
        # supervisord honours an exit code only of a process that lived for `startsecs`.
        clock.sleep(float(os.environ.get("TRADEFLEET_RUNTIME_START_SECONDS", "3")))
        return _WRONG_CONFIGURATION
    configure_logs(NAME, settings.log, clock)
    asyncio.run(_serve(chosen, clock, options.port_file, None if options.start else _bookmark(settings)))
    return 0


async def _serve(chosen: ExchangeSim, clock: SystemClock, port_file: Path | None, bookmark: Bookmark | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload_settings, NAME, clock)
    await run(chosen, clock, stop, port_file, bookmark)


def _bookmark(settings: Settings) -> Bookmark:
    """Give the file in which an earlier run left off; `--start` on the command line asks for no such thing."""
    return Bookmark(
        Path(settings.data_root, "run", f"{NAME}.json"), settings.exchange_sim.start,
        lambda: last_closed_day(Path(settings.data_root), settings.data.exchange),
    )  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m services.{NAME}", description=__doc__)
    for name, kind in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"instead of exchange_sim.{name}")
    parser.add_argument("--record-ticks", action="store_true", help="keep every tick that is sent for /_sim/ticks")
    parser.add_argument("--port-file", type=Path, help="write the chosen port here once it is served")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
