"""`fleet reconcile`: compare our books with the broker's now, and say what differs."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser, Namespace
from typing import Any

from cli.engine_door import ask_engine, read_trading
from cli.exits import FAILED, OK, WrongUsage
from cli.output import add_json, print_json, print_table
from libs.core.clock import SystemClock
from libs.core.errors import OutcomeUnknown

_DEADLINE_S = 30.0
_HEADINGS = ("kind", "exchange", "symbol", "order_id", "broker_order_id", "resolution", "rule")


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "reconcile", help="compare orders, trades and positions with the broker",
        description="Have the engine compare orders, trades and positions with the broker's, and print how it ended. "
        "Exit 1 when something differs that no rule repairs.",
    )  # fmt: skip
    parser.add_argument(
        "--settle", default="", metavar="ORDER",
        help="vouch that nothing exists at the broker of this unknown order but what is known; needs --reason",
    )  # fmt: skip
    parser.add_argument("--reason", default="", help="what you looked at")
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(options: Namespace) -> int:
    if options.settle:
        return _settle(options)
    if options.reason:
        raise WrongUsage("--reason goes with --settle ORDER")
    before = _newest()
    ask_engine("reconcile", {"sender": getpass.getuser()})
    found = _wait_for_newer(before)
    rows = read_trading(
        "SELECT kind, exchange, symbol, order_id, broker_order_id, ours_json, theirs_json, resolution, rule "
        "FROM reconciliation_differences WHERE resolution IN ('open', 'raised') ORDER BY difference_id DESC LIMIT 100"
    )
    if options.json:
        print_json({**found, "open_differences": rows})
    else:
        print(f"{found['broker']}: {found['outcome']}, {found['differences']} differences written")
        if rows:
            print_table(_HEADINGS, [[row[name] or "" for name in _HEADINGS] for row in rows])
    return OK if found["outcome"] in {"equal", "repaired"} else FAILED


def _settle(options: Namespace) -> int:
    if not options.reason:
        raise WrongUsage("--settle needs --reason: say what you looked at; it is kept with the order")
    arguments = {"order_id": options.settle, "reason": options.reason, "sender": getpass.getuser()}
    answer = ask_engine("settle", arguments)
    print_json(answer) if options.json else print(f"order {options.settle} is {answer['status']}")
    return OK


def _newest() -> int:
    return int(read_trading("SELECT coalesce(max(reconciliation_id), 0) AS n FROM reconciliations")[0]["n"])


def _wait_for_newer(before: int) -> dict[str, Any]:
    clock = SystemClock()
    end_ns = clock.monotonic_ns() + int(_DEADLINE_S * 1e9)
    while clock.monotonic_ns() < end_ns:
        rows = read_trading(
            "SELECT * FROM reconciliations WHERE reconciliation_id > ? AND cause = 'command' "
            "ORDER BY reconciliation_id DESC LIMIT 1", before,
        )  # fmt: skip
        if rows:
            return rows[0]
        clock.sleep(0.1)
    raise OutcomeUnknown(f"the engine took the command and wrote no reconciliation within {_DEADLINE_S:.0f} s")
