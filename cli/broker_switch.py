"""`fleet kill-switch broker-status|broker-lock`: the broker's own switch, the last lock once all is halted and flat."""

from __future__ import annotations

import getpass
from argparse import Namespace
from typing import Any

from cli.exits import OK
from cli.output import add_json, print_json, print_table
from libs.core.clock import SystemClock
from libs.core.errors import OutcomeUnknown
from libs.core.ids import random_id
from libs.settings import load_settings

_DEADLINE_S = 60.0


def add_actions(actions: Any) -> None:
    """Add the two actions."""
    status = actions.add_parser(
        "broker-status", help="the broker's own switch, and what stands in the way of throwing it",
        description="Read the broker's own kill switch, and say what would have to end before it can be thrown.",
    )  # fmt: skip
    add_json(status)
    status.set_defaults(run=_status)
    lock = actions.add_parser(
        "broker-lock", help="throw the broker's own switch: no orders by anybody for about 12 hours",
        description="Throw the broker's own kill switch. It is refused unless trading is HALTED and nothing is open, "
        "here or at the broker. The broker does not take it back for about twelve hours.",
    )  # fmt: skip
    lock.add_argument("--reason", required=True, help="why; kept with the command")
    lock.add_argument("--confirm", required=True, metavar="WORDS", help="say: 'no orders for 12 hours'")
    add_json(lock)
    lock.set_defaults(run=_lock)


def _status(options: Namespace) -> int:
    answer = _ask("broker_switch", {"sender": getpass.getuser()})
    if options.json:
        print_json(answer)
        return OK
    _print_segments(answer)
    for line in answer["in_the_way"]:
        print(f"in the way of broker-lock: {line}")
    return OK


def _lock(options: Namespace) -> int:
    arguments = {"reason": options.reason, "confirm": options.confirm, "sender": getpass.getuser()}
    answer = _ask("broker_lock", arguments)
    print_json(answer) if options.json else _print_segments(answer)
    return OK


def _print_segments(answer: dict[str, Any]) -> None:
    print_table(("segment", "broker's switch"), [list(row) for row in answer["segments"].items()])


def _ask(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Ask, and ask again with the same id until the broker's answer is there: a repeat does nothing."""
    from libs.messaging import CommandClient

    clock, command_id = SystemClock(), random_id()
    end_ns = clock.monotonic_ns() + int(_DEADLINE_S * 1e9)
    with CommandClient("execution_engine", settings=load_settings()) as client:
        while clock.monotonic_ns() < end_ns:
            answer = dict(client.call(name, arguments, command_id=command_id))
            if answer.get("state") != "under way":
                return answer
            clock.sleep(0.2)
    raise OutcomeUnknown(
        f"the broker did not answer within {_DEADLINE_S:.0f} s; look with `fleet kill-switch broker-status` "
        f"(command {command_id})"
    )
