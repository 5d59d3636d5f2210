"""`fleet kill-switch status|halt|reduce|resume|broker-…`: stop trading, and start it again with a reason."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser, Namespace
from typing import Any

from cli.broker_switch import add_actions
from cli.engine_door import change_state, read_trading
from cli.exits import OK
from cli.output import add_json, print_json, print_table


def add(subparsers: Any) -> None:
    """Add the command."""
    parser: ArgumentParser = subparsers.add_parser(
        "kill-switch", help="stop trading, flatten, resume", description="Stop trading, and start it again."
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    status = actions.add_parser("status", help="what is allowed, since when, and why")
    add_json(status)
    status.set_defaults(run=_status)
    for name, purpose in (
        ("halt", "send nothing but cancels"),
        ("reduce", "send exits and cancels only"),
        ("resume", "trade again; needs a reason"),
    ):
        action = actions.add_parser(name, help=purpose, description=f"{purpose.capitalize()}; survives restarts.")
        action.add_argument("--reason", required=name == "resume", default="", help="why; kept with the change")
        action.add_argument("--strategy", default="", help="only this strategy instance")
        action.add_argument("--symbol", default="", metavar="EXCHANGE:SYMBOL", help="only this instrument")
        if name != "resume":
            action.add_argument("--flatten", action="store_true", help="cancel every order and close every position")
        add_json(action)
        action.set_defaults(run=_change, action=name)
    add_actions(actions)


def _status(options: Namespace) -> int:
    rows = read_trading(
        "SELECT scope_kind AS scope_kind, scope, state, cause, reason, set_by, since_us FROM trading_states "
        "ORDER BY scope_kind, scope"
    )
    if not any(row["scope_kind"] == "account" for row in rows):
        rows.insert(0, _untouched())
    if options.json:
        print_json(rows)
    else:
        headings = ("scope_kind", "scope", "state", "cause", "reason", "set_by")
        print_table(headings, [[row[name] for name in headings] for row in rows])
    return OK


def _untouched() -> dict[str, Any]:
    return {
        "scope_kind": "account", "scope": "", "state": "active", "cause": "none", "reason": "never changed",
        "set_by": "nobody", "since_us": 0,
    }  # fmt: skip


def _change(options: Namespace) -> int:
    kind, scope = "account", ""
    if options.strategy:
        kind, scope = "strategy", options.strategy
    elif options.symbol:
        kind, scope = "instrument", options.symbol if ":" in options.symbol else f"nse:{options.symbol}"
    arguments: dict[str, Any] = {
        "reason": options.reason or "asked for", "scope_kind": kind, "scope": scope, "sender": getpass.getuser(),
    }  # fmt: skip
    if getattr(options, "flatten", False):
        arguments["flatten"] = True
    answer = change_state(options.action, arguments)
    if options.json:
        print_json(answer)
    else:
        print(f"{kind} {scope}".strip() + f" is {answer['state']}" + _closing(answer))
    return OK


def _closing(answer: dict[str, Any]) -> str:
    if "positions" not in answer:
        return ""
    return f"; closing {answer['positions']} positions and cancelling {answer['orders']} orders"
