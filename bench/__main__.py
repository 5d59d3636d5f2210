"""`python -m bench [name …]`: every bench in turn, one table; also bench/out/bench.json and bench.html."""

from __future__ import annotations

import argparse
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
    indicators,
    ingest,
    journal,
    live,
    orders,
    query,
    risk,
    rollover,
    scanner,
    stores,
    strategies,
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
    "indicators": indicators.measures,
    "strategies": strategies.measures,
    "scanner": scanner.measures,
    "risk": risk.measures,
    "orders": orders.measures,
    "peers": peers.measures,
    "sweep": lambda: sweep.measures(60, 5, 4),
    "growth": growth.measures,
    "api": api.measures,
}
OUT = Path(__file__).resolve().parent / "out"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"one of {', '.join(BENCHES)}; all when none is given")
    names = parser.parse_args().names or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"no bench {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    found: list[Measure] = []
    seconds: dict[str, float] = {}
    for number, name in enumerate(names, 1):
        start = time.monotonic()
        sys.stderr.write(f"[{number}/{len(names)}] {name} … ")
        sys.stderr.flush()
        found += _measured(name)
        seconds[name] = round(time.monotonic() - start, 1)
        sys.stderr.write(f"{seconds[name]:.0f} s\n")
        _keep(found, seconds)
    print_measures(found)
    judged = [measure.met for measure in found if measure.met is not None]
    print(f"{sum(judged)} of {len(judged)} goals met, {sum(seconds.values()) / 60:.1f} minutes")
    return 0


def _keep(found: list[Measure], seconds: dict[str, float]) -> None:
    """Leave what is measured so far as JSON and as a page: whoever stops the rest has these."""
    OUT.mkdir(exist_ok=True)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    whole = {"machine": machine, "seconds": seconds, "measures": [asdict(each) for each in found]}
    (OUT / "bench.json").write_text(json.dumps(whole, indent=2) + "\n")
    (OUT / "bench.html").write_text(page(found, machine))


def _measured(name: str) -> list[Measure]:
    """Run one bench; one that breaks is a missed line of the table, and the others go on."""
    try:
        return list(BENCHES[name]())
    except Exception as e:  # noqa: BLE001 - whatever broke it is said in its place
        return [Measure(name, f"{type(e).__name__}: {e}"[:160], "", None, "to run", False)]


if __name__ == "__main__":
    sys.exit(main())
