"""`fleet sim …`: script the exchange simulator's faults, move its clock, see its truth. Demo and tests only."""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from typing import Any

from cli import sim_history
from cli.exits import FAILED, OK, WrongUsage
from libs.core.errors import Refused
from libs.settings import load_settings

_TIMEOUT_S = 600  # `clock --advance` answers when the time has been played

Subparsers = argparse._SubParsersAction  # argparse has no public name for it


def add(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add the group to `fleet`."""
    group = subparsers.add_parser("sim", help="script the exchange simulator (demo only)", description=__doc__)
    group.add_argument("--url", help="address of the simulator; default from [exchange_sim]")
    commands = group.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_faults(commands)
    sim_history.add(commands)
    state = commands.add_parser("state", help="what the simulator sent, received and holds")
    state.add_argument("--json", action="store_true")
    state.set_defaults(run=_state)
    clock = commands.add_parser("clock", help="read or move the market's clock")
    clock.add_argument("--speed", type=float, help="market seconds for a real second")
    clock.add_argument("--pause", dest="paused", action="store_const", const=True)
    clock.add_argument("--resume", dest="paused", action="store_const", const=False)
    clock.add_argument(
        "--advance", dest="advance_s", type=float, metavar="SECONDS", help="play so much market time now"
    )
    clock.add_argument("--play-to", metavar="INSTANT", help="play up to an instant (IST) now")
    clock.add_argument("--jump-to", metavar="INSTANT", help="go to an instant (IST), leaving out what lies between")
    clock.add_argument("--json", action="store_true")
    clock.set_defaults(run=_clock)
    token = commands.add_parser("token", help="make an access token the simulator takes")
    token.add_argument("--scope", choices=("trading", "analytics", "extended"), default="trading")
    token.add_argument("--life", dest="life_s", type=float, metavar="SECONDS", help="default: until 03:30 IST")
    token.set_defaults(run=_token)
    flood = commands.add_parser("flood", help="send ticks as fast as asked to whoever is subscribed")
    flood.add_argument("ticks_per_second", type=int)
    flood.add_argument("--for", dest="duration_s", type=float, metavar="SECONDS", default=10.0)
    flood.add_argument("--ticks-per-frame", type=int, default=20)
    flood.set_defaults(run=_flood)


def _add_faults(commands: Subparsers[argparse.ArgumentParser]) -> None:
    faults = commands.add_parser("faults", help="list, add and clear faults")
    actions = faults.add_subparsers(title="actions", metavar="ACTION", required=True)
    kinds = actions.add_parser("kinds", help="what can go wrong, and the parameters of each")
    kinds.add_argument("--json", action="store_true")
    kinds.set_defaults(run=_kinds)
    listing = actions.add_parser("list", help="what is in force, and what struck so far")
    listing.add_argument("--json", action="store_true")
    listing.set_defaults(run=_list)
    one = actions.add_parser("add", help="set a fault")
    one.add_argument("kind")
    one.add_argument("parameters", nargs="*", metavar="NAME=VALUE")
    one.add_argument("--count", type=int, help="how many times it strikes; default without end")
    one.add_argument("--for", dest="duration_s", type=float, metavar="SECONDS", help="how long; default without end")
    one.add_argument("--after", dest="after_s", type=float, metavar="SECONDS", help="when it begins; default now")
    one.add_argument("--probability", type=float, help="how likely it strikes each time; default 1")
    one.set_defaults(run=_add)
    clear = actions.add_parser("clear", help="take one fault away, or all")
    clear.add_argument("id", nargs="?", type=int)
    clear.set_defaults(run=_clear)


def _kinds(options: argparse.Namespace) -> int:
    kinds = _ask(options, "GET", "/_sim/faults")["kinds"]
    if options.json:
        print(json.dumps(kinds, indent=2))
        return OK
    for name, kind in kinds.items():
        parameters = " ".join(f"{key}={json.dumps(value)}" for key, value in kind["parameters"].items())
        print(f"{name:20} {kind['purpose']}" + (f"\n{'':20} {parameters}" if parameters else ""))
    return OK


def _list(options: argparse.Namespace) -> int:
    answer = _ask(options, "GET", "/_sim/faults")
    del answer["kinds"]
    if options.json:
        print(json.dumps(answer, indent=2))
        return OK
    for fault in answer["faults"]:
        parameters = " ".join(f"{key}={json.dumps(value)}" for key, value in fault["parameters"].items())
        print(
            f"{fault['id']:4} {fault['kind']:20} applied {fault['applied']} of {fault['count'] or 'any'}  {parameters}"
        )
    struck = ", ".join(f"{kind} {count}" for kind, count in answer["struck"].items())
    print(f"struck so far: {struck or 'nothing'}")
    return OK


def _add(options: argparse.Namespace) -> int:
    body: dict[str, Any] = {"kind": options.kind}
    for pair in options.parameters:
        name, separator, text = pair.partition("=")
        if not separator:
            raise WrongUsage(f"{pair!r} is no parameter; expected NAME=VALUE")
        body[name] = _value(text)
    for name in ("count", "duration_s", "after_s", "probability"):
        if (value := getattr(options, name)) is not None:
            body[name] = value
    print(json.dumps(_ask(options, "POST", "/_sim/faults", body)))
    return OK


def _clear(options: argparse.Namespace) -> int:
    path = "/_sim/faults" if options.id is None else f"/_sim/faults/{options.id}"
    cleared = _ask(options, "DELETE", path)["cleared"]
    print(f"cleared {cleared}")
    return OK if cleared or options.id is None else FAILED


def _state(options: argparse.Namespace) -> int:
    state = _ask(options, "GET", "/_sim/state")
    if options.json:
        print(json.dumps(state, indent=2))
        return OK
    clock = state["clock"]
    print(f"market time  {clock['now']}  {clock['phase']}  speed {clock['speed']:g}" + " paused" * clock["paused"])
    for one in state["connections"]:
        print(f"connection   {one['id']} {one['stream']}: {one['frames_sent']} frames, {one['ticks_sent']} ticks")
    print(f"orders       {len(state['orders'])}, trades {len(state['trades'])}, cash {state['cash']:.2f}")
    for one in state["positions"]:
        print(f"position     {one['instrument_key']} {one['product']} {one['quantity']} at {one['average_price']}")
    return OK


def _clock(options: argparse.Namespace) -> int:
    names = ("speed", "paused", "advance_s", "play_to", "jump_to")
    change = {name: value for name in names if (value := getattr(options, name)) is not None}
    clock = _ask(options, "POST", "/_sim/clock", change) if change else _ask(options, "GET", "/_sim/clock")
    if options.json:
        print(json.dumps(clock, indent=2))
    else:
        print(f"{clock['now']}  {clock['phase']}  speed {clock['speed']:g}" + " paused" * clock["paused"])
    return OK


def _token(options: argparse.Namespace) -> int:
    body = {"scope": options.scope} | ({"life_s": options.life_s} if options.life_s is not None else {})
    print(_ask(options, "POST", "/_sim/tokens", body)["access_token"])
    return OK


def _flood(options: argparse.Namespace) -> int:
    names = ("ticks_per_second", "duration_s", "ticks_per_frame")
    print(json.dumps(_ask(options, "POST", "/_sim/flood", {name: getattr(options, name) for name in names})))
    return OK


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # a bare word is a string


def _ask(options: argparse.Namespace, method: str, path: str, body: Any = None) -> Any:
    settings = load_settings()
    if settings.profile == "live":
        raise Refused("there is no simulator under the live profile")
    base = options.url or f"http://{settings.exchange_sim.host}:{settings.exchange_sim.port}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"}, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310  # the user's own address
            return json.load(response)
    except urllib.error.HTTPError as e:
        found = json.load(e)
        raise Refused("; ".join(error["message"] for error in found["errors"])) from e
    except OSError as e:
        raise Refused(f"no simulator answers at {base}: {e}; start one with `python -m services.exchange_sim`") from e
