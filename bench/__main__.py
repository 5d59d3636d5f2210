"""`python -m bench [name …]`: every bench in turn, one table; also bench/out/bench.json and bench.html."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from bench import (
    api,
    archive,
    backtest,
    bars,
    bus,
    candles,
    growth,
    imports,
    ingest,
    journal,
    live,
    orders,
    query,
    risk,
    rollover,
    scanner,
    stores,
    sweep,
)
from bench.page import page
from bench.peers import __main__ as peers
from bench.table import Measure, print_measures

#: What fits in a quarter of an hour on two cores; each module runs larger on its own.
BENCHES: dict[str, Callable[[], Iterable[Measure]]] = {
    "stores": stores.measures,
    "query": lambda: query.measures(250, 500),
    "rollover": lambda: rollover.measures(3),
    "archive": archive.measures,
    "imports": imports.measures,
    "live": lambda: live.measures([1]),
    "journal": journal.measures,
    "bars": bars.measures,
    "backtest": lambda: backtest.measures(250, 1),
    "ingest": lambda: ingest.measures(20, 70_000),
    "bus": lambda: bus.measures(1),
    "candles": candles.measures,
    "scanner": scanner.measures,
    "risk": risk.measures,
    "orders": orders.measures,
    "peers": peers.measures,
    "sweep": lambda: sweep.measures(60),
    "growth": growth.measures,
    "api": api.measures,
}
OUT = Path(__file__).resolve().parent / "out"


def main(names: list[str]) -> int:
    """Run the named benches, or all; 2 when a name is unknown."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        sys.stderr.write(f"bench: no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}\n")
        return 2
    found: list[Measure] = []
    for name in names or BENCHES:
        start = time.monotonic()
        sys.stderr.write(f"{name} … ")
        sys.stderr.flush()
        found += _measured(name)
        sys.stderr.write(f"{time.monotonic() - start:.0f} s\n")
    print_measures(found)
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.json").write_text(json.dumps([asdict(each) for each in found], indent=2) + "\n")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    (OUT / "bench.html").write_text(page(found, machine))
    return 0


def _measured(name: str) -> list[Measure]:
    """Run one bench; one that breaks is a missed line of the table, and the others go on."""
    try:
        return list(BENCHES[name]())
    except Exception as e:  # noqa: BLE001 - whatever broke it is said in its place
        return [Measure(name, f"{type(e).__name__}: {e}"[:160], "", None, "to run", False)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
