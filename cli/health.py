"""`fleet health`: is everything that is stored in order?"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from cli.exits import FAILED, OK
from cli.output import add_json, print_json


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "health", help="check directories, locks, stores, schema versions and disk",
        description="Check everything stored. Exit 0 when green or with warnings, 1 on any error. "
        "Safe beside a running fleet: a store in use is checked through its snapshot.",
    )  # fmt: skip
    parser.add_argument("--deep", action="store_true", help="read every block of every file")
    parser.add_argument("--data-root", type=Path, help="instead of TRADEFLEET_DATA or data/")
    parser.add_argument("-v", "--verbose", action="store_true", help="show what is green as well")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the checks and print what they found, the worst last."""
    from libs.contracts.health import HealthState
    from libs.dbaccess.health import HealthCheck
    from libs.settings import load_settings

    settings = load_settings()
    check = HealthCheck(options.data_root or settings.data_root, settings=settings)
    sound = check.run_all(deep=options.deep)
    if options.json:
        print_json({"state": check.state, "deep": options.deep, "findings": check.findings})
        return OK if sound else FAILED
    order = [HealthState.GREEN, HealthState.WARNING, HealthState.ERROR]
    for finding in sorted(check.findings, key=lambda each: order.index(each.state)):
        if finding.state is HealthState.GREEN and not options.verbose:
            continue
        print(f"{finding.state.value:8} {finding.check}: {finding.subject}: {finding.detail}")
        if finding.advice:
            print(f"{'':8} -> {finding.advice}")
    counts = {state: sum(finding.state is state for finding in check.findings) for state in order}
    print(", ".join(f"{count} {state.value}" for state, count in counts.items()))
    return OK if sound else FAILED
