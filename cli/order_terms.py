"""`fleet orders cancel|modify|replace`: what an operator does with an order that works at the broker."""

from __future__ import annotations

import getpass
import json
from argparse import ArgumentParser, Namespace
from typing import Any

from cli.engine_door import ask_engine, read_trading
from cli.exits import OK, WrongUsage
from cli.output import add_json, print_json
from libs.core.clock import SystemClock
from libs.core.errors import OutcomeUnknown, Refused
from libs.core.ids import random_id

_WAIT_S = 30.0
_LOOK_EVERY_S = 0.1


def add_actions(parser: ArgumentParser) -> None:
    """Add the actions to `fleet orders`, which without one lists the orders."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=False)
    cancel = _add(actions, "cancel", "take an order back; what has traded stays", _cancel)
    cancel.add_argument("--reason", default="asked for", help="why; kept with the order")
    modify = _add(actions, "modify", "give it another price or fewer shares at the broker; keeps its id", _modify)
    modify.add_argument("--quantity", type=int, help="all shares it is to ask for, those it has among them; never more")
    modify.add_argument("--price", type=float, help="the limit")
    modify.add_argument("--trigger", type=float, dest="price_trigger", help="the trigger of a stop order")
    replace = _add(actions, "replace", "cancel it, and ask for what it did not trade at another price", _replace)
    replace.add_argument("--price", type=float, required=True, help="the limit of the new order")


def _add(actions: Any, name: str, purpose: str, run: Any) -> ArgumentParser:
    made: ArgumentParser = actions.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
    made.add_argument("order_id", metavar="ORDER", help="its id, as `fleet orders` shows it")
    add_json(made)
    made.set_defaults(run=run)
    return made


def _cancel(options: Namespace) -> int:
    answer = _ask("cancel", options, reason=options.reason)
    return _say(options, answer, "cancel sent" if answer["cancelled"] else "nothing of it is left to cancel")


def _modify(options: Namespace) -> int:
    given = {name: getattr(options, name) for name in ("quantity", "price", "price_trigger")}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        raise WrongUsage("nothing is to change: give --price, --quantity or --trigger")
    rows = read_trading("SELECT quantity FROM orders WHERE order_id = ?", options.order_id)
    if not rows:
        raise FileNotFoundError(f"there is no order {options.order_id}; see `fleet orders`")
    answer = _ask("modify", options, **{"quantity": rows[0]["quantity"], **given})
    return _say(options, answer, "the broker was asked; `fleet orders` shows the terms once it agreed")


def _replace(options: Namespace) -> int:
    """Ask, and wait until the second order is out, or the engine says why it is not."""
    command_id = random_id()
    _ask("replace", options, command_id, price=options.price)
    clock = SystemClock()
    end_ns = clock.monotonic_ns() + int(_WAIT_S * 1e9)
    while clock.monotonic_ns() < end_ns:
        row = read_trading("SELECT state, answer_json FROM commands WHERE command_id = ?", command_id)[0]
        answer = json.loads(row["answer_json"] or "{}")
        if row["state"] == "done":
            return _say(options, answer, f"replaced by {answer['order_id']}")
        if row["state"] != "accepted":
            raise Refused(f"order {options.order_id}: {answer['error']}")
        clock.sleep(_LOOK_EVERY_S)
    raise OutcomeUnknown(f"order {options.order_id} is not replaced after {_WAIT_S:.0f} s; the engine goes on with it "
                         f"(command {command_id}): look with `fleet orders` before asking again")  # fmt: skip


def _ask(name: str, options: Namespace, command_id: str = "", **given: Any) -> dict[str, Any]:
    arguments = {"order_id": options.order_id, "sender": getpass.getuser(), **given}
    return dict(ask_engine(name, arguments, command_id))


def _say(options: Namespace, answer: dict[str, Any], text: str) -> int:
    print_json(answer) if options.json else print(f"{options.order_id}: {text}")
    return OK
