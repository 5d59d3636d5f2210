"""What the simulator may be told on its command line instead of by a setting."""

from __future__ import annotations

import argparse
from pathlib import Path

from services.exchange_sim.manifest import NAME

#: Options that change a setting of the same name.
OPTIONS: dict[str, type] = {
    "host": str, "port": int, "seed": int, "symbols": int, "start": str, "speed": float, "conflation_ms": int,
    "cash": float,
}  # fmt: skip


def given_options() -> argparse.Namespace:
    """Read the command line; one that is wrong ends the process with 2."""
    parser = argparse.ArgumentParser(
        prog=f"python -m services.{NAME}", description="Run the simulator until SIGTERM or Ctrl-C."
    )
    for name, kind in OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"instead of exchange_sim.{name}")
    parser.add_argument("--record-ticks", action="store_true", help="keep every tick that is sent for /_sim/ticks")
    parser.add_argument("--port-file", type=Path, help="write the chosen port here once it is served")
    return parser.parse_args()
